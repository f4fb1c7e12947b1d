"""One sweep: its data split, its trials, its finalists and their outcome.

All of it is a function of what lies in the sweep's folder, so that each step can be repeated after an interruption.
ray_tune.py runs the trials, selection.py chooses, driver.py runs a sweep from start to report.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.cluster.store import Store
from pipeline.config import paths
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.prepare.split import position
from pipeline.registry.model_reference import digest_to_use, initial_weights
from pipeline.sweep.algorithms import SEARCH_ALGORITHMS, Adaptive, Listed, number_of_trials
from pipeline.sweep.mlflow_log import SweepLog
from pipeline.sweep.read_space import read_space
from pipeline.sweep.report import Outcome
from pipeline.sweep.selection import Finalist, choose, front
from pipeline.sweep.space import Range, Space, grace_epochs
from pipeline.sweep.trial import ENDED, Trial, read_trials, trial_key
from pipeline.training.identity import identity, reading, records_digest
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.run_inputs import with_annotations
from yolox_core.config import DetectorSpec
from yolox_core.cpus import cores
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.export.model_cost import latency_ms, size_of

if TYPE_CHECKING:  # Ray is imported when its environment has been set
    from pipeline.sweep.ray_tune import Plan

VAL_SEED = 17  # another cut than that of the test split


def describe(settings: Settings, compute: ComputeConfig) -> str:
    """What would be done, after all that can be checked was checked."""
    plain = read_params()
    space, sweep = read_space(settings, plain), settings.sweep
    epochs = space.settings({}).train.epochs
    stopped = f", ASHA from epoch {grace_epochs(settings, space)} on" if sweep.early_stopping else ""
    lines = [
        f"{sweep.search}: {number_of_trials(sweep, space)} trials of {epochs} epochs{stopped}; {compute.trials} at once"
    ]
    for name, entry in space.entries.items():
        shown = f"{entry.low:g} to {entry.high:g}" if isinstance(entry, Range) else ", ".join(map(str, entry))
        lines.append(f"  {name}: {shown}")
    lines.append(f"then the best {sweep.finalists} again with {sweep.seeds} seeds")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One sweep, its data cut and its folder made."""

    settings: Settings
    space: Space
    compute: ComputeConfig
    folder: Path  # absolute
    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    carried: TrainLoopConfig | None = None  # with images and starting weights in the store, where workers get them
    note: Callable[[], None] = lambda: None  # called when a trial's files have been written

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        space: Space,
        compute: ComputeConfig,
        carried: TrainLoopConfig | None = None,
        note: Callable[[], None] = lambda: None,
    ) -> "Sweep":
        """Check the data, and cut off what is measured on. InputError where there is none."""
        for path in (paths.MANIFEST, paths.WEIGHTS):
            if not path.is_file():
                raise InputError(f"{path}: no such file. Run `dvc repro prepare` first.")
        manifest = json.loads(paths.MANIFEST.read_text(encoding="utf-8"))
        names = tuple(manifest["class_names"])
        for batch_size in {space.settings({}).train.batch_size, *space.values("train.batch_size")}:
            if batch_size % compute.workers:
                raise InputError(f"sweep.workers_per_trial: expected a divisor of the batch of {batch_size}.")
        _check_cores(compute)
        plain = space.settings({})
        if carried is None:
            initial_weights(plain.model, plain.recipe(len(names)).model)
        parts = _cut(settings.sweep.val, manifest["files"])
        name = _identity(settings, space, compute, parts, manifest["files"])
        folder = (paths.RUNS / f"sweep-{settings.data_name}-{name}").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for part, records in parts.items():
            write_coco(records, folder / f"{part}.json")
        return cls(settings, space, compute, folder, names, tuple(manifest["category_ids"]), carried, note)

    def search(self, log: SweepLog) -> None:
        """Every trial of the space that has not ended yet."""
        from pipeline.sweep.ray_tune import run_trials

        ended = [trial for trial in self._trials if trial.state in ENDED]
        algorithm = SEARCH_ALGORITHMS[self.settings.sweep.search]
        if isinstance(algorithm, Adaptive):
            plan, before = self._plan_drawn(algorithm), 0
        else:
            plan, before = self._plan_listed(algorithm, ended), len(ended)
        if len(ended) < before + plan.trials:
            run_trials(plan, self.compute, _Progress(log, before, before + plan.trials, "trial", self.note))

    def _plan_listed(self, algorithm: Listed, ended: Sequence[Trial]) -> "Plan":
        """What is left of a grid or a random search; early stopping counts those that have ended."""
        from pipeline.sweep import tune_search

        sweep = self.settings.sweep
        points = algorithm.points(self.space, sweep.samples, self.settings.seed)
        keys = {trial.key for trial in ended}
        plan = self._plan_of("trials", [values for values in points if trial_key(values) not in keys])
        if not sweep.early_stopping:
            return plan
        grace = grace_epochs(self.settings, self.space)
        return dataclasses.replace(plan, scheduler=tune_search.asha(self._epochs, grace, sweep.reduction, ended))

    def _plan_drawn(self, algorithm: Adaptive) -> "Plan":
        """An adaptive search, which begins with the points that are known."""
        from pipeline.sweep import tune_search
        from pipeline.sweep.ray_tune import Plan

        sweep = self.settings.sweep
        return Plan(
            place=self.folder / "tune-trials",
            epochs=self._epochs,
            sample=self._sampler("trials"),
            space=tune_search.distributions(self.space),
            trials=sweep.samples,
            samples=sweep.samples,
            searcher=algorithm.searcher(sweep.objectives, self.settings.seed, [trial.values for trial in self._trials]),
        )

    def _plan_of(self, kind: str, points: Sequence[Mapping[str, Any]]) -> "Plan":
        from pipeline.sweep.ray_tune import Plan
        from pipeline.sweep.tune_search import places

        return Plan(
            place=self.folder / f"tune-{kind}",
            epochs=self._epochs,
            sample=dataclasses.replace(self._sampler(kind), listed=tuple(points)),
            space=places(len(points)),
            trials=len(points),
        )

    def compare(self, log: SweepLog) -> list[Finalist]:
        """The best few once more with other seeds. InputError where no trial came to its end."""
        from pipeline.sweep.ray_tune import run_trials

        sweep = self.settings.sweep
        done = [trial for trial in self._trials if trial.state == "finished"]
        if not done:
            error = next((trial.error for trial in self._trials if trial.error), "none was trained to the end")
            raise InputError(f"{self.folder}: no trial to choose from: {error.strip().splitlines()[-1]}")
        best = sorted(done, key=lambda trial: (-trial.map, trial.key))[: sweep.finalists]
        seeds = [self.settings.seed + 1 + at for at in range(sweep.seeds)]
        listed = tuple({**trial.values, "seed": seed} for trial in best for seed in seeds)
        known = {trial.key for trial in read_trials(self.folder / "finals") if trial.state == "finished"}
        left = [values for values in listed if trial_key(values) not in known]
        if left:
            progress = _Progress(log, len(listed) - len(left), len(listed), "final", self.note)
            run_trials(self._plan_of("finals", left), self.compute, progress)
        maps = {trial.key: trial.map for trial in read_trials(self.folder / "finals") if trial.state == "finished"}
        missing = [key for key in map(trial_key, listed) if key not in maps]
        if missing:
            raise InputError(
                f"{self.folder}: {len(missing)} of the best trials' repetitions failed: see "
                f"finals/{missing[0]}. Run it again to try them once more."
            )
        return [
            Finalist(
                trial.key,
                tuple(maps[trial_key({**trial.values, "seed": seed})] for seed in seeds),
                self._cost(trial, latency=sweep.cost == "latency_ms")[sweep.cost],
            )
            for trial in best
        ]

    def outcome(self, finalists: Sequence[Finalist]) -> Outcome:
        """Tables' and pictures' content."""
        sweep, trials = self.settings.sweep, self._trials
        latency = "latency_ms" in sweep.objectives
        costs = {trial.key: self._cost(trial, latency) for trial in trials}
        points = {trial.key: {**costs[trial.key], "map": trial.map} for trial in trials if trial.state == "finished"}
        return Outcome(
            title=self.folder.name,
            names=tuple(self.space.entries),
            cost=sweep.cost,
            trials=trials,
            costs=costs,
            front=front(points, sweep.objectives),
            finalists=finalists,
            choice=choose(finalists),
            compared_at=grace_epochs(self.settings, self.space) if sweep.early_stopping else self._epochs,
            fixed=sweep.base,
        )

    def runs(self) -> list[tuple[Trial, Path]]:
        """Every trial and repetition with its folder."""
        places = [self.folder / "trials", self.folder / "finals"]
        return [(trial, place / trial.key) for place in places for trial in read_trials(place)]

    @property
    def _epochs(self) -> int:
        return self.space.settings({}).train.epochs

    @property
    def _trials(self) -> list[Trial]:
        return read_trials(self.folder / "trials")

    def _cost(self, trial: Trial, latency: bool) -> dict[str, float]:
        recipe = self.space.settings(trial.values).recipe(len(self.names))
        spec = DetectorSpec(recipe.model, self.names, self.category_ids, recipe.train.input_size)
        return _costs(spec, latency)

    def _sampler(self, kind: str) -> Any:
        from pipeline.sweep.tune_search import Sampler

        return Sampler(self.space, self.names, self.category_ids, self._config(), self.folder / kind)

    def _config(self) -> TrainLoopConfig:
        """Of every trial, but for what it tries."""
        parts = {name: self.folder / f"{name}.json" for name in ("training", "validation")}
        if self.carried:
            return with_annotations(self.carried, Store(self.carried.store), parts["training"], parts["validation"])
        compute, plain = self.compute, self.space.settings({})
        return TrainLoopConfig(
            recipe={},
            spec={},
            images=compute.images or str(paths.RAW_IMAGES.resolve()),
            digests=str(paths.MANIFEST.resolve()),
            training=str(parts["training"]),
            validation=str(parts["validation"]),
            initial=initial_weights(plain.model, plain.recipe(len(self.names)).model),
            run="",
            threads=compute.threads or 1,
            loader_workers=compute.loader_workers,
            report_queue="",
            cache=compute.cache,
            cache_bytes=compute.cache_gib << 30,
        )


class _Progress:
    """Prints each trial's end, and passes everything on to MLflow."""

    def __init__(self, log: SweepLog, before: int, total: int, what: str, note: Callable[[], None]) -> None:
        self._log, self._total, self._what, self._note = log, total, what, note
        self._ended = before

    def began(self, trial: Trial, folder: Path) -> None:
        self._log.began(trial, folder)
        self._note()

    def advanced(self, trial: Trial, folder: Path) -> None:
        self._log.advanced(trial, folder)
        self._note()

    def ended(self, trial: Trial, folder: Path) -> None:
        self._ended += 1
        figure = trial.error.strip().splitlines()[-1] if trial.error else f"map {trial.map:.3f}"
        how = f"{trial.state} after {trial.epochs} epochs, {figure}"
        print(f"{self._what} {self._ended} of {self._total}: {trial.key}: {how}", flush=True)
        self._log.ended(trial, folder)
        self._note()


def _check_cores(compute: ComputeConfig) -> None:
    """Trials of several workers that wait for each other's cores would wait for ever: on this machine all must fit."""
    wanted = compute.trials * compute.workers * (compute.threads or 1)
    if compute.workers > 1 and not compute.address and wanted > cores():
        raise InputError(
            f"--trials {compute.trials}: expected trials of {compute.workers} workers to fit into {cores()} cores, got "
            f"{wanted} wanted. Lower one of them."
        )


@cache  # trials share architectures, and a measured time must not differ between tables
def _costs(spec: DetectorSpec, latency: bool) -> dict[str, float]:
    return {**size_of(spec), **({"latency_ms": latency_ms(spec)} if latency else {})}


def _cut(share: float, content: Mapping[str, str]) -> dict[str, DatasetRecords]:
    """What trials train and are measured on: the validation split, or by content a share of the training split."""
    training = read_coco(paths.prepared("train"), paths.RAW_IMAGES)
    validation = read_coco(paths.prepared("val"), paths.RAW_IMAGES)
    if not validation.images:
        both = training.images
        held = {image.file_name for image in both if position(content[image.file_name], VAL_SEED) < share}
        training = dataclasses.replace(training, images=[i for i in both if i.file_name not in held])
        validation = dataclasses.replace(validation, images=[i for i in both if i.file_name in held])
    parts = {"training": training, "validation": validation}
    for name, part in parts.items():
        if not sum(len(image.objects) for image in part.images):
            raise InputError(f"sweep.val: expected objects in the {name} images, got none in {len(part.images)}.")
    return parts


def _identity(
    settings: Settings,
    space: Space,
    compute: ComputeConfig,
    parts: Mapping[str, DatasetRecords],
    content: Mapping[str, str],
) -> str:
    """A hash of all that a trial's figures depend on; how many finalists there are is not among it."""
    sweep = settings.sweep
    return identity(
        space.settings({}).recipe(len(parts["training"].class_names)).to_dict(),
        {name: records_digest(part, content) for name, part in parts.items()},
        digest_to_use(settings.model, json.loads(paths.WEIGHTS.read_text(encoding="utf-8"))["digest"]),
        search=[sweep.search, sweep.samples, sweep.early_stopping, sweep.grace_epochs, sweep.reduction],
        objectives=list(sweep.objectives) if isinstance(SEARCH_ALGORITHMS[sweep.search], Adaptive) else None,
        space={name: dataclasses.asdict(e) if isinstance(e, Range) else e for name, e in space.entries.items()},
        workers=[compute.workers, compute.threads, compute.gpu],
        **reading(settings.data.range),
    )
