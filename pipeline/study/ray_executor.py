"""A study's runs through Ray Tune: on all nodes of a cluster that is joined, or on this machine.

Its rows are kept by the loop that asks for them; what Tune writes down here is thrown away with each start.
"""

import json
import queue
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune

from pipeline.cluster.ray_cluster import ComputeConfig, cluster
from pipeline.cluster.tune_callback import TuneCallback, listening
from pipeline.study.executor import Job, attempt


@dataclass(frozen=True)
class OnCluster:
    """Executes runs as Tune's trials (an `Execute` of pipeline/study/executor.py)."""

    compute: ComputeConfig
    place: Path  # a folder that the cluster's nodes share
    device: str

    def __call__(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Rows as the runs end."""
        if not jobs:
            return
        rows: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
        whole = [replace(job, folder=job.folder.resolve()) for job in jobs]

        def run() -> None:
            try:
                self._run(whole, rows)
                rows.put(None)
            except BaseException as failed:  # for the thread that waits
                rows.put(failed)

        threading.Thread(target=run, name="tune", daemon=True).start()
        while (row := rows.get()) is not None:
            if isinstance(row, BaseException):
                raise row
            yield row

    def _run(self, jobs: Sequence[Job], rows: "queue.Queue[Any]") -> None:
        device, loader_workers = self.device, self.compute.loader_workers
        shutil.rmtree(self.place, ignore_errors=True)

        def job(drawn: dict[str, Any]) -> None:
            tune.report({"row": json.dumps(attempt(jobs[drawn["at"]], device, loader_workers))})

        share = self.compute.gpu_per_trial if device.startswith("cuda") else 0.0
        with cluster(self.compute), listening(self.place, _Rows(jobs, rows)):
            tune.Tuner(
                tune.with_resources(job, {"cpu": 1.0, "gpu": share}),
                param_space={"at": tune.grid_search(list(range(len(jobs))))},
                tune_config=tune.TuneConfig(max_concurrent_trials=self.compute.trials),
                run_config=tune.RunConfig(
                    name=self.place.name,
                    storage_path=str(self.place.parent),
                    callbacks=[TuneCallback(str(self.place))],
                    verbose=0,
                ),
            ).fit()


class _Rows:
    """Hands on each run's row; a run whose process died has none, so one that says so."""

    def __init__(self, jobs: Sequence[Job], rows: "queue.Queue[Any]") -> None:
        self._jobs, self._rows = jobs, rows
        self._at: dict[str, int] = {}

    def began(self, tune_id: str, drawn: Mapping[str, Any]) -> None:
        self._at[tune_id] = drawn["at"]

    def advanced(self, tune_id: str, result: Mapping[str, Any]) -> None:
        self._rows.put(json.loads(result["row"]))

    def ended(self, tune_id: str, lost: bool) -> None:
        if lost:
            key = self._jobs[self._at[tune_id]].run.key
            self._rows.put({"key": key, "error": "its process ended without a word"})
