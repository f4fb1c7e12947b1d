"""Training through Ray Train: starts the workers, listens to the first one, survives those that die."""

import dataclasses
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

from pipeline.distributed.board import Board
from pipeline.distributed.launch import Hosting
from pipeline.distributed.worker import Refusal, WorkerOrder, train_worker
from yolox_core.errors import InputError

MAX_FAILURES = 3  # times that lost workers are replaced
LISTEN_EVERY_S = 0.3
COLLECTIVE_TIMEOUT_S = 1800


def fit(order: WorkerOrder, hosting: Hosting, on_report: Callable[[Any], None]) -> None:
    """Run the order on a cluster that has been joined; `on_report` gets every report of the engine, in order.

    InputError with the worker's own line where it refused. A worker that dies is replaced and training goes on from
    the last epoch.
    """
    import ray
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig

    board: Any = ray.remote(Board).options(name=order.board, num_cpus=0).remote()
    # on this machine as many cores as there are, whatever number of threads was asked for
    resources: dict[str, float] = {"CPU": order.threads if hosting.address else hosting.cores_per_worker()}
    if hosting.gpu:
        resources["GPU"] = 1
    # `Any`: the type hints of `ray.train` still say the older classes
    scaling: Any = ScalingConfig(num_workers=hosting.workers, use_gpu=hosting.gpu, resources_per_worker=resources)
    failures: Any = FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES)
    running: Any = RunConfig(name="ray", storage_path=order.run, failure_config=failures)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=dataclasses.asdict(order),
        scaling_config=scaling,
        torch_config=TorchConfig(timeout_s=COLLECTIVE_TIMEOUT_S),
        run_config=running,
    )
    listener = _Listener(board, on_report)
    listener.start()
    try:
        trainer.fit()
    except Exception:
        listener.finish()
        if not listener.refusals:
            raise
    finally:
        listener.finish()
        ray.kill(board)
    if listener.refusals:
        raise InputError(listener.refusals[0])


class _Listener(threading.Thread):
    """Takes reports off the board while `fit` blocks the main thread."""

    def __init__(self, board: Any, on_report: Callable[[Any], None]) -> None:
        super().__init__(name="listener", daemon=True)
        self._board, self._on_report = board, on_report
        self._done = threading.Event()
        self._finished = False
        self.refusals: list[str] = []
        self._problem: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._done.wait(LISTEN_EVERY_S):
                self._take()
        except BaseException as problem:
            print(f"reports cannot be followed any more ({problem!r}); training goes on", file=sys.stderr)
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

        for pickled in ray.get(self._board.take.remote()):
            report = pickle.loads(pickled)
            if isinstance(report, Refusal):
                self.refusals.append(report.line)
            else:
                self._on_report(report)
