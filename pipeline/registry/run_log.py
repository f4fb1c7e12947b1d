"""A training run in MLflow, written by the driver only and never able to stop or slow a training.

`RunLog` hands each epoch to a background thread. Whatever fails there is said once; the epochs stay in the run's own
history and are sent with the next epoch, at the end, after a resume, or by the register stage. Which MLflow run
belongs to a training is kept in `runs/<run>/mlflow_run.json`.
"""

import json
import logging
import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.flattening import flattened
from pipeline.registry.relocation import relocate
from pipeline.registry.run_history import Row, next_epoch, read_rows, send_rows, timed
from pipeline.registry.store import artifact_location, connect, is_missing, load_mlflow, shown, tracking_uri
from yolox_core.atomic_files import write_json
from yolox_core.errors import sentence

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["RunLog", "RunSpec", "attach", "tracking_uri"]

STATE = "mlflow_run.json"
WAITING_ROWS = 64  # epochs kept in memory; more are read back from the history
LONGEST_PARAM = 6000  # characters, of MLflow
GOODBYE_S = 30.0  # how long the end of a training waits for MLflow
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """What an MLflow run of one training is called and says of itself."""

    run_dir: Path  # runs/<run>
    experiment: str
    run_name: str
    params: Mapping[str, Any]  # nested mappings become dotted names
    tags: Mapping[str, str]
    history_csv: Path | None = None  # where the epochs stand when run_dir is gone


def attach(client: "MlflowClient", spec: RunSpec, uri: str) -> str:
    """The id of the training's MLflow run: the one it had, where this store still has it, otherwise a new one."""
    run_id = _known_run(client, spec.run_dir)
    if run_id is None:
        experiment_id = experiment(client, spec.experiment, artifact_location(uri))
        run_id = client.create_run(experiment_id, run_name=spec.run_name, tags=dict(spec.tags)).info.run_id
        _remember(spec.run_dir, run_id, uri, 0)
    _describe(client, run_id, spec)
    return run_id


def send_missing(client: "MlflowClient", run_id: str, spec: RunSpec, uri: str) -> int:
    """Send the epochs that the store does not have yet; returns how many it has now."""
    known = read_rows(spec.run_dir, spec.history_csv)
    sent = send_rows(client, run_id, known, next_epoch(client, run_id))
    _remember(spec.run_dir, run_id, uri, sent)
    return sent


class RunLog:
    """The driver's handle on a training's MLflow run. No method raises, none waits for MLflow except `finish`."""

    def __init__(self, spec: RunSpec, uri: str) -> None:
        self._spec, self._uri = spec, uri
        self._waiting: queue.Queue[Row | None] = queue.Queue(maxsize=WAITING_ROWS)
        self._unsent: dict[int, Row] = {}
        self._client: MlflowClient | None = None
        self._run_id: str | None = None
        self._next = 0
        self._status = "RUNNING"
        self._complained = False
        self._delivered = False
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    @classmethod
    def open(
        cls, run_dir: Path, experiment: str, run_name: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> "RunLog":
        """Begin, or go on after a resume. Imports MLflow (5 s) and returns; the store is reached in the background."""
        load_mlflow()  # not in the thread: two threads importing at once can see half-made modules
        log = cls(RunSpec(run_dir, experiment, run_name, params, tags), tracking_uri())
        log._thread.start()
        return log

    @property
    def run_id(self) -> str | None:
        """The MLflow run's id; None while the store has not been reached."""
        return self._run_id

    def log_epoch(self, row: Row, timing: Row | None = None) -> None:
        """Hand over one epoch's numbers."""
        with suppress(queue.Full):  # it is in history.jsonl, from where the sender reads it again
            self._waiting.put_nowait({**row, **timed(timing or {})})

    def finish(self, status: str = "FINISHED") -> None:
        """Send what is left and close the run (FINISHED, FAILED or KILLED); waits a minute at most."""
        self._status = status
        with suppress(queue.Full):
            self._waiting.put(None, timeout=GOODBYE_S)
        self._thread.join(timeout=GOODBYE_S)
        if not self._delivered:
            _log.warning(
                "MLflow at %s does not have all of this run yet; the register stage sends the rest.", shown(self._uri)
            )

    def _work(self) -> None:
        """The thread: connect, then send whatever has come, until told to stop."""
        self._attempt()
        while (row := self._waiting.get()) is not None:
            self._unsent[int(row["epoch"])] = row
            if self._waiting.empty():
                self._attempt()
        self._delivered = self._attempt(closing=True)

    def _attempt(self, closing: bool = False) -> bool:
        """Send all that is missing. The one place where every failure is caught: training must go on."""
        try:
            if self._client is None or self._run_id is None:
                client = connect(self._uri)
                relocate(self._uri)
                self._run_id = attach(client, self._spec, self._uri)
                client.update_run(self._run_id, status="RUNNING")
                self._next, self._client = next_epoch(client, self._run_id), client
            self._send(self._client, self._run_id)
            if closing:
                self._client.set_terminated(self._run_id, self._status)
        except Exception as failure:
            self._client = None  # the next attempt asks the store anew what it has
            if not self._complained:
                _log.warning("MLflow: %s Training continues; its numbers are sent later.", sentence(failure))
            self._complained = True
            return False
        return True

    def _send(self, client: "MlflowClient", run_id: str) -> None:
        """Epochs in order; those that memory does not hold (before a crash, an outage) come from the history."""
        last = max(self._unsent, default=self._next - 1)
        rows = {int(row["epoch"]): row for row in self._gap(last)} | self._unsent
        self._next = send_rows(client, run_id, rows.values(), self._next)
        self._unsent.clear()
        _remember(self._spec.run_dir, run_id, self._uri, self._next)

    def _gap(self, last: int) -> list[dict[str, Any]]:
        if self._unsent and all(epoch in self._unsent for epoch in range(self._next, last + 1)):
            return []
        return [row for row in read_rows(self._spec.run_dir) if int(row["epoch"]) >= self._next]


def _known_run(client: "MlflowClient", run_dir: Path) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        run_id = json.loads((run_dir / STATE).read_text(encoding="utf-8"))["run_id"]
        run = client.get_run(run_id)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a first start, or a file that cannot be used
    except MlflowException as error:
        if is_missing(error):
            return None  # another store, or one that was emptied
        raise
    return run.info.run_id if run.info.lifecycle_stage == "active" else None


def experiment(client: "MlflowClient", name: str, location: str | None) -> str:
    """The id of the experiment of that name, made or restored where needed."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is not None and known.lifecycle_stage != "active":
        client.restore_experiment(known.experiment_id)
    if known is None:
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            known = client.get_experiment_by_name(name)  # another process was quicker
            if known is None:
                raise
    return known.experiment_id


def _describe(client: "MlflowClient", run_id: str, spec: RunSpec) -> None:
    """Parameters that the run does not have yet (MLflow refuses to change one) and all tags."""
    from mlflow.entities import Param, RunTag

    known = client.get_run(run_id).data.params
    params = [Param(key, value) for key, value in flat(spec.params).items() if key not in known]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in spec.tags.items()])


def flat(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested parameters under dotted names, as text of at most MLflow's length."""
    return {name: str(value)[:LONGEST_PARAM] for name, value in flattened(params)}


def _remember(run_dir: Path, run_id: str, uri: str, epochs: int) -> None:
    write_json(run_dir / STATE, {"run_id": run_id, "tracking_uri": shown(uri), "logged_epochs": epochs})
