"""A sweep in MLflow: one parent run, one child a trial, followed as they are trained and completed at the end.

As with a single training nothing here stops a sweep: what could not be sent is sent at its end, or by the same command
once more. Which MLflow run belongs to a trial is kept in the trial's folder.
"""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.registry.relocation import relocate
from pipeline.registry.run_log import RunLog, RunSpec, attach, send_missing
from pipeline.registry.store import connect, tracking_uri
from pipeline.sweep.trial import Trial
from yolox_core.errors import sentence

PARENT = "mlflow.parentRunId"  # mlflow/utils/mlflow_tags.py
STATUS = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "lost": "FAILED", "running": "RUNNING"}


class SweepLog:
    """Follows trials; a context, whose end waits for what is on its way."""

    def __init__(self, folder: Path, experiment: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self._experiment, self._tags = experiment, dict(tags)
        self._spec = RunSpec(folder, experiment, folder.name, params, {**tags, "sweep": folder.name})
        self._parent: RunLog | None = None
        self._open: dict[str, RunLog] = {}
        self._closing: list[threading.Thread] = []

    def __enter__(self) -> "SweepLog":
        spec = self._spec
        self._parent = RunLog.open(spec.run_dir, spec.experiment, spec.run_name, spec.params, spec.tags)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for log in self._open.values():
            log.finish("KILLED")
        for closing in self._closing:
            closing.join()
        assert self._parent is not None
        self._parent.finish("FINISHED" if kind is None else "KILLED")

    def began(self, trial: Trial, folder: Path) -> None:
        """Its own run, below the sweep's."""
        if trial.key in self._open:
            return
        spec = self._of(trial, folder, self._parent.run_id if self._parent else None)
        self._open[trial.key] = RunLog.open(folder, spec.experiment, spec.run_name, spec.params, spec.tags)

    def advanced(self, trial: Trial, folder: Path) -> None:
        """Its newest epoch."""
        if trial.key in self._open:
            self._open[trial.key].log_epoch(trial.rows[-1])

    def ended(self, trial: Trial, folder: Path) -> None:
        """Close its run."""
        log = self._open.pop(trial.key, None)  # of a point that was drawn twice the first to end has closed it
        if log:  # beside the sweep: it waits for the store
            closing = threading.Thread(target=log.finish, args=(STATUS[trial.state],), daemon=True)
            closing.start()
            self._closing.append(closing)

    def complete(
        self, trials: Iterable[tuple[Trial, Path]], files: Iterable[Path], metrics: Mapping[str, float]
    ) -> str | None:
        """Send everything that the store does not have yet; what went wrong, in a line. It never raises."""
        try:
            self._complete(trials, files, metrics)
        except Exception as failure:
            return f"MLflow: {sentence(failure)} Run the sweep again to send what is missing."
        return None

    def _complete(
        self, trials: Iterable[tuple[Trial, Path]], files: Iterable[Path], metrics: Mapping[str, float]
    ) -> None:
        uri = tracking_uri()
        client = connect(uri)
        relocate(uri)
        parent = attach(client, self._spec, uri)
        for trial, folder in trials:
            spec = self._of(trial, folder, parent)
            run = attach(client, spec, uri)
            send_missing(client, run, spec, uri)
            if trial.error:
                client.log_text(run, trial.error, "error.txt")
            client.set_terminated(run, STATUS[trial.state])
        for path in files:
            client.log_artifact(parent, str(path))
        for name, value in metrics.items():
            client.log_metric(parent, name, value)
        client.set_terminated(parent, "FINISHED")

    def _of(self, trial: Trial, folder: Path, parent: str | None) -> RunSpec:
        tags = {**self._tags, "sweep": self._spec.run_name, "sweep.state": trial.state}
        if parent:
            tags[PARENT] = parent
        if trial.error:
            tags["sweep.error"] = trial.error.strip().splitlines()[-1][:500]
        return RunSpec(folder, self._experiment, trial.key, trial.values, tags)
