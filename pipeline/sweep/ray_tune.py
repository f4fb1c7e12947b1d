"""Trials through Ray Tune: what Tune runs, and who follows it.

A trial of one worker runs the engine inside Tune's own function; one of several starts a Ray Train run of its own,
which costs half a minute each time. Tune's own books are thrown away at each start: what a trial's folder says is the
truth, so a sweep that was killed goes on with other numbers of trials at once, on another cluster, from a moved folder.
"""

import dataclasses
import json
import logging
import queue
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.cluster.tune_callback import TuneCallback, listening
from pipeline.sweep.trial import State, Trial, read_trial, write_rows, write_trial
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.ray_train import fit
from pipeline.training.run_inputs import on_this_node
from pipeline.training.run_lock import run_lock
from pipeline.training.worker import reports
from yolox_core.config import DetectorSpec
from yolox_core.evaluation.detection_limit import deciding
from yolox_core.export.model_cost import size_of

TWICE_S = 7 * 24 * 3600.0  # how long a point that was drawn twice waits for the first
LOST = 2  # times that a trial whose process died is begun again, from its last checkpoint


@dataclasses.dataclass(frozen=True)
class Sample:
    """One point of the space, as the engine gets it."""

    key: str
    values: Mapping[str, Any]
    config: TrainLoopConfig


class Follower(Protocol):
    """Hears of trials on the driver, as things happen."""

    def began(self, trial: Trial, folder: Path) -> None:
        """It runs, for the first time or again."""

    def advanced(self, trial: Trial, folder: Path) -> None:
        """One more epoch."""

    def ended(self, trial: Trial, folder: Path) -> None:
        """Finished, pruned or failed."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be tried."""

    place: Path  # absolute; Tune's own books
    epochs: int  # of a whole trial
    sample: Callable[[Mapping[str, Any]], Sample]  # of what Tune draws
    space: Mapping[str, Any]  # Tune's
    trials: int  # how many that makes
    samples: int = 1
    searcher: Any = None  # it, or the scheduler, knows the objectives
    scheduler: Any = None


def run_trials(plan: Plan, compute: ComputeConfig, follower: Follower) -> None:
    """Run the plan on a cluster that has been joined. Trials that fail do not stop the others.

    KeyboardInterrupt where the user ended it: Tune itself only stops.
    """
    sample = plan.sample  # alone: what else the plan holds cannot travel

    def trial(drawn: dict[str, Any]) -> None:
        train_trial(sample(drawn), compute)

    resources = {"cpu": float(compute.threads or 1), "gpu": compute.gpu_per_trial if compute.gpu else 0.0}
    if compute.workers > 1:
        resources = {"memory": 2.0**20}  # its workers ask for theirs, and Ray for something
    shutil.rmtree(plan.place, ignore_errors=True)
    books = _Books(plan, follower)
    with listening(plan.place, books):
        # it looks for each trial's result.json, and says of every one that there is none
        logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
        tune.Tuner(
            tune.with_resources(trial, resources),
            param_space=dict(plan.space),
            tune_config=tune.TuneConfig(
                num_samples=plan.samples,
                search_alg=plan.searcher,
                scheduler=plan.scheduler,
                max_concurrent_trials=compute.trials,
            ),
            run_config=tune.RunConfig(
                name=plan.place.name,
                storage_path=str(plan.place.parent),
                callbacks=[TuneCallback(str(plan.place))],
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=LOST),
            ),
        ).fit()
    if books.ends < plan.trials:
        raise KeyboardInterrupt


def train_trial(sample: Sample, compute: ComputeConfig) -> None:
    """Tune's function: the trial's epochs, those that it had already first, so that schedulers see all in order.

    What the engine refuses is reported, not raised: Tune begins again what raises, which is for processes that died.
    """
    costs = size_of(DetectorSpec.from_dict(sample.config.spec))

    def report(**figures: Any) -> None:
        tune.report({**costs, "map": 0.0, "epochs": 0, "failed": False, **figures})

    try:
        with run_lock(Path(on_this_node(sample.config).run) / "alone", TWICE_S):
            for row in _rows(sample.config, compute):
                report(map=deciding(row) or 0.0, epochs=row["epoch"] + 1, row=json.dumps(dict(row)))
    except Exception:
        report(failed=True, reason=traceback.format_exc())


def _rows(config: TrainLoopConfig, compute: ComputeConfig) -> Iterator[Mapping[str, Any]]:
    """The engine's epochs, those done before first."""
    if compute.workers > 1:
        yield from _rows_of_many(config, compute)
        return
    import torch

    device = torch.device("cuda" if compute.gpu else "cpu")
    for told in reports(on_this_node(config), device, "a trial", lambda: False):
        yield from _new_rows(told)


def _rows_of_many(config: TrainLoopConfig, compute: ComputeConfig) -> Iterator[Mapping[str, Any]]:
    """The same through Ray Train, whose `fit` holds its thread until the run's end."""
    rows: queue.Queue[Any] = queue.Queue()

    def listen(told: Any) -> None:
        for row in _new_rows(told):
            rows.put(row)

    def run() -> None:
        try:
            fit(config, compute, listen)
            rows.put(None)
        except BaseException as failed:  # for the thread that waits
            rows.put(failed)

    threading.Thread(target=run, daemon=True).start()
    while (row := rows.get()) is not None:
        if isinstance(row, BaseException):
            raise row
        yield row


def _new_rows(told: Any) -> Sequence[Mapping[str, Any]]:
    from yolox_core.training.reports import EpochReport, Started

    rows: Sequence[Mapping[str, Any]] = ()
    if isinstance(told, Started):
        rows = told.history
    elif isinstance(told, EpochReport):
        rows = [told.row]
    return rows


class _Books:
    """Keeps every trial's folder as Tune tells of it."""

    def __init__(self, plan: Plan, follower: Follower) -> None:
        self._plan, self._follower = plan, follower
        self._known: dict[str, tuple[Sample, Path]] = {}
        self._errors: dict[str, str] = {}  # of trials that failed
        self.ends = 0

    def began(self, tune_id: str, drawn: Mapping[str, Any]) -> None:
        sample = self._plan.sample(drawn)
        folder = Path(sample.config.run)
        self._known[tune_id] = sample, folder
        before = read_trial(folder)
        rows, seconds = (before.rows, before.seconds) if before else ([], 0.0)
        self._follower.began(self._write(tune_id, "running", rows, seconds=seconds), folder)

    def advanced(self, tune_id: str, result: Mapping[str, Any]) -> None:
        _, folder = self._known[tune_id]
        trial = read_trial(folder)
        assert trial is not None
        if result["failed"]:
            self._errors[tune_id] = result["reason"]
            return  # its end follows
        row = json.loads(result["row"])
        if row["epoch"] < trial.epochs:  # told again, after a kill
            return
        rows = [*trial.rows, row]
        write_rows(folder, rows)
        seconds = trial.seconds + float(result.get("time_this_iter_s", 0.0))
        self._follower.advanced(self._write(tune_id, "running", rows, seconds=seconds), folder)

    def ended(self, tune_id: str, lost: bool) -> None:
        self.ends += 1
        _, folder = self._known[tune_id]
        trial = read_trial(folder)
        assert trial is not None
        error: str | None = None
        state: State = "finished" if trial.epochs >= self._plan.epochs else "pruned"
        if tune_id in self._errors:
            state, error = "failed", self._errors[tune_id]
        elif lost:
            state, error = "lost", f"its process died {LOST + 1} times"
        self._follower.ended(self._write(tune_id, state, trial.rows, error, trial.seconds), folder)

    def _write(
        self,
        tune_id: str,
        state: State,
        rows: Sequence[Mapping[str, Any]],
        error: str | None = None,
        seconds: float = 0.0,
    ) -> Trial:
        sample, folder = self._known[tune_id]
        folder.mkdir(parents=True, exist_ok=True)
        trial = Trial(sample.key, sample.values, state, rows, error, seconds)
        write_trial(folder, trial)
        return trial
