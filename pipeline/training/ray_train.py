"""Training through Ray Train: starts the workers, listens to the first one, survives those that die."""

import dataclasses
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.ray_cluster import ComputeConfig, wait_for_room
from pipeline.cluster.store import Store
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.report_queue import Heartbeat, ReportQueue
from pipeline.training.worker import Notice, Refusal, train_worker
from yolox_core.errors import InputError, sentence

if TYPE_CHECKING:
    from ray.train import Result

MAX_FAILURES = 3  # times that lost workers are replaced
# fewer workers than wanted stay fewer until one is lost: to grow, Ray ends them all, and an epoch is done again
GROW_EVERY_S = 1e9
LISTEN_EVERY_S = 0.5
WATCH_EVERY_S = 2.0
# all wait for the slowest, in an evaluation for long; the driver names one that hangs before the others give up
COLLECTIVE_TIMEOUT_S, COLLECTIVE_MARGIN_S = 1800, 300


def fit(
    config: TrainLoopConfig,
    compute: ComputeConfig,
    on_report: Callable[[Any], None],
    leave: threading.Event | None = None,
) -> "Result | None":
    """Train on a cluster that has been joined; `on_report` gets every report of the engine, in order.

    Ray's result: its checkpoint is the run's, where a store is named.

    InputError with the worker's own line where it refused. A worker that dies, or that hangs, is replaced and training
    goes on from the last checkpoint. Once `leave` is set the workers save and end: the last report is then `Left`.
    """
    import ray
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # beside the driver: a node that is lost takes neither without the other
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    report_queue: Any = (
        ray.remote(ReportQueue).options(name=config.report_queue, num_cpus=0, scheduling_strategy=here).remote()
    )
    # on this machine as many cores as there are, whatever number of threads was asked for
    resources: dict[str, float] = {"CPU": config.threads if compute.address else compute.cores_per_worker()}
    if compute.gpu:
        resources["GPU"] = 1
    if compute.address:
        wait_for_room(compute, resources)
    # `Any`: the type hints of `ray.train` still say the older classes
    scaling: Any = ScalingConfig(
        num_workers=(compute.min_workers, compute.workers) if compute.min_workers else compute.workers,
        use_gpu=compute.gpu,
        resources_per_worker=resources,
        elastic_resize_monitor_interval_s=GROW_EVERY_S,
    )
    failures: Any = FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES)
    running: Any = RunConfig(**_storage(config), failure_config=failures)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=dataclasses.asdict(config),
        scaling_config=scaling,
        torch_config=TorchConfig(timeout_s=max(COLLECTIVE_TIMEOUT_S, int(compute.hang_s) + COLLECTIVE_MARGIN_S)),
        run_config=running,
    )
    listener = _Listener(report_queue, on_report, leave or threading.Event(), compute.hang_s)
    listener.start()
    result: Result | None = None
    try:
        result = trainer.fit()
    except Exception:
        listener.finish()
        if not listener.refusals:
            raise
    finally:
        listener.finish()
        ray.kill(report_queue)
    if listener.refusals:
        raise InputError(listener.refusals[0])
    return result


def _storage(config: TrainLoopConfig) -> dict[str, Any]:
    """Where Ray keeps its books of the run: beside the checkpoints that it is given, and thrown away at each start.

    What lies in the store is the truth: a snapshot of another Ray, or one that is half written, must not stop a run.
    """
    if config.runs is None:
        return {"name": "ray", "storage_path": config.run}
    from pipeline.training.checkpoint_upload import SNAPSHOT, retrying_files

    address, variable = config.runs
    store = Store(address, variable)
    try:
        if store.exists(f"{config.called}/{SNAPSHOT}"):
            store.remove(f"{config.called}/{SNAPSHOT}")
    except Exception as failed:  # each kind of store has errors of its own
        raise store.unusable("written", failed) from failed
    return {"name": config.called, "storage_path": store.root, "storage_filesystem": retrying_files(store)}


class _Listener(threading.Thread):
    """Takes reports off the queue while `fit` blocks the main thread, and looks after workers that hang."""

    def __init__(
        self, report_queue: Any, on_report: Callable[[Any], None], leave: threading.Event, hang_s: float
    ) -> None:
        super().__init__(name="listener", daemon=True)
        self._report_queue, self._on_report = report_queue, on_report
        self._leave, self._hang_s = leave, hang_s
        self._done = threading.Event()
        self._finished = False
        self.refusals: list[str] = []
        self._problem: BaseException | None = None

    def run(self) -> None:
        watched_s = time.monotonic()
        try:
            while not self._done.wait(LISTEN_EVERY_S):
                if self._problem is None:
                    self._try_to_take()
                if time.monotonic() - watched_s >= WATCH_EVERY_S:
                    watched_s = time.monotonic()
                    self._watch()
        except Exception as problem:
            print(f"workers cannot be watched any more ({problem!r}); training continues", file=sys.stderr)

    def _try_to_take(self) -> None:
        try:
            self._take()
        except Exception as problem:
            print(f"reports cannot be followed any more ({problem!r}); training continues", file=sys.stderr)
            self._problem = problem

    def finish(self) -> None:
        """Take what is left; raises what went wrong in the thread."""
        if self._finished:
            return
        self._finished = True
        self._done.set()
        self.join()
        if self._problem is not None:
            raise self._problem
        self._take()

    def _take(self) -> None:
        import ray

        for pickled in ray.get(self._report_queue.take.remote()):
            report = pickle.loads(pickled)
            if isinstance(report, Refusal):
                self.refusals.append(report.line)
            elif isinstance(report, Notice):
                print(report.line, file=sys.stderr, flush=True)
            else:
                self._on_report(report)

    def _watch(self) -> None:
        import ray

        if self._leave.is_set():
            ray.get(self._report_queue.leave.remote())
        found = ray.get(self._report_queue.hanging.remote(self._hang_s))
        if found is None:
            return
        heartbeat, stood_s = found
        print(
            f"worker {heartbeat.rank} (process {heartbeat.pid}) hangs: no step for {stood_s:.0f} s after step "
            f"{heartbeat.step} of epoch {heartbeat.epoch + 1}. It is ended; training resumes from the last checkpoint.",
            file=sys.stderr,
        )
        _end_process(heartbeat)


def _end_process(heartbeat: Heartbeat) -> None:
    """SIGKILL on the worker's own node: a process that hangs hears nothing else."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(heartbeat.node, soft=False)
    try:
        ray.get(ray.remote(_kill).options(num_cpus=0, scheduling_strategy=there).remote(heartbeat.pid), timeout=30)
    except ray.exceptions.RayError as failed:  # its node is gone as well, and Ray will notice
        print(f"worker {heartbeat.rank} could not be ended: {sentence(failed)}", file=sys.stderr)


def _kill(pid: int) -> None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return  # gone already
    if command.startswith(b"ray::RayTrainWorker"):  # and not another process, which got its number
        os.kill(pid, signal.SIGKILL)
