"""What each Ray Train worker runs: the engine, with its reports passed on.

All that it needs comes in as plain values with absolute paths: a worker's folder is not the project's.
"""

import json
import math
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.training.checkpoint_sync import Mirror
from pipeline.training.node_image_cache import NodeImages, check_folder, is_address
from pipeline.training.prometheus import Gauges
from pipeline.training.run_lock import alone
from yolox_core.errors import InputError

PULSE_S = 1.0
STEPS_EVERY_S = 0.5


@dataclass(frozen=True)
class WorkerOrder:
    """One training run, as told to its workers."""

    recipe: dict[str, Any]
    spec: dict[str, Any]
    images: str  # what file names are relative to: a folder that every node has, or an fsspec address
    digests: str  # JSON file whose `files` are the images' sha256 by name
    training: str  # COCO files
    validation: str
    initial: str | None  # a weight file or folder
    run: str  # the run's folder
    threads: int
    loader_workers: int
    board: str  # name of the board's actor
    cache: str = ""  # folder of each node for images fetched from an address
    cache_bytes: int = 0
    checkpoints: str = ""  # fsspec address where they are kept besides; empty: in the run's folder alone


@dataclass(frozen=True)
class Refusal:
    """Why a worker would not train: one line for the user."""

    line: str


def train_worker(order: dict[str, Any]) -> None:
    """Train as `order` says (a WorkerOrder as a dictionary). Input errors go to the board; defects raise."""
    import ray
    import ray.train.torch

    told = WorkerOrder(**order)
    board = ray.get_actor(told.board)
    if ray.get(board.refused.remote()):
        return  # Ray has started all workers again after one refused: it would again
    context = ray.train.get_context()
    first = context.get_world_rank() == 0
    tell = _Teller(board, Path(told.run).name) if first else None
    try:
        with (
            alone(Path(told.run)) if first else nullcontext(),
            _mirrored(told) if first else nullcontext(),
            _Heart(board, context.get_world_rank()) as heart,
        ):
            worker = f"worker {context.get_world_rank()} on {socket.gethostname()}"
            for report in reports(told, ray.train.torch.get_device(), worker, heart.asked):
                heart.at(report)
                if tell:
                    tell(report)
                _tell_ray(report)
    except InputError as refused:
        ray.get(board.refuse.remote(pickle.dumps(Refusal(str(refused)))))
        if context.get_world_size() > 1:
            raise  # the other ranks must not wait for this one; the driver shows the line, not the traceback


@contextmanager
def _mirrored(told: WorkerOrder) -> Iterator[None]:
    """With the newest checkpoints of wherever the run was before, and what is written here sent there."""
    if not told.checkpoints:
        yield
        return
    mirror = Mirror(told.checkpoints, Path(told.run) / "checkpoints")
    mirror.bring()
    with mirror:
        yield


class _Heart:
    """Tells the board how far this worker has come, from a thread of its own, and hears whether it is to leave."""

    def __init__(self, board: Any, rank: int) -> None:
        self.told_to_leave = threading.Event()
        self._board, self._rank = board, rank
        self._epoch = self._step = 0
        self._measuring = True  # until the first step nobody knows how long things take
        self._evaluating = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def __enter__(self) -> "_Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def asked(self) -> bool:
        """The engine asks at every step, and before every batch that it evaluates, whether to leave."""
        self._step, self._measuring = self._step + 1, self._evaluating
        return self.told_to_leave.is_set()

    def at(self, report: Any) -> None:
        """What the engine has just reported."""
        from yolox_core.training.engine import EpochReport, Measuring

        if isinstance(report, Measuring):
            self._measuring = self._evaluating = True
        elif isinstance(report, EpochReport):
            self._epoch, self._step, self._measuring, self._evaluating = report.row["epoch"] + 1, 0, True, False

    def _beat(self) -> None:
        import ray

        from pipeline.training.report_queue import Pulse

        node = ray.get_runtime_context().get_node_id()
        while not self._ended.wait(PULSE_S):
            pulse = Pulse(self._rank, os.getpid(), node, self._epoch, self._step, self._measuring)
            try:
                if ray.get(self._board.beat.remote(pulse)):
                    self.told_to_leave.set()
            except ray.exceptions.RayError:
                return  # the driver is gone, and Ray will end this process


def reports(told: WorkerOrder, device: Any, worker: str, leave: Callable[[], bool]) -> Iterator[Any]:
    """The engine's reports of a run; `worker` is what a message calls this one."""
    from pipeline.data.coco.coco import read_coco
    from yolox_core.collectives import World
    from yolox_core.config import DetectorSpec, Recipe
    from yolox_core.data.records import DatasetRecords
    from yolox_core.model.weights import read_weights
    from yolox_core.training.engine import TrainingJob, train

    fetch = _fetch(told, worker)

    def records(annotations: str) -> DatasetRecords:
        return replace(read_coco(Path(annotations), Path(told.images)), fetch=fetch)

    yield from train(
        TrainingJob(
            recipe=Recipe.from_dict(told.recipe),
            spec=DetectorSpec.from_dict(told.spec),
            training=records(told.training),
            validation=records(told.validation),
            initial=read_weights(Path(told.initial)) if told.initial else None,
            checkpoints=Path(told.run) / "checkpoints",
            device=device,
            world=World.current(),
            loader_workers=told.loader_workers,
            threads=told.threads,
            leave=leave,
        )
    )


def _fetch(told: WorkerOrder, worker: str) -> NodeImages | None:
    """What brings images to this node; None where they are there. InputError where others are."""
    digests = json.loads(Path(told.digests).read_text(encoding="utf-8"))["files"]
    if is_address(told.images):
        return NodeImages(told.images, digests, Path(told.cache).expanduser(), told.cache_bytes)
    check_folder(Path(told.images), digests, worker)
    return None


def _tell_ray(report: Any) -> None:
    """Epoch figures for Ray's own pages; every rank calls it equally often."""
    import ray.train

    from yolox_core.training.engine import EpochReport

    if isinstance(report, EpochReport):
        plain = {name: value for name, value in report.row.items() if isinstance(value, (int, float))}
        ray.train.report(plain)


class _Teller:
    """Passes the first worker's reports on, to driver and Prometheus; of steps not more than one can look at."""

    def __init__(self, board: Any, run: str) -> None:
        self._board, self._gauges = board, Gauges(run)
        self._step_told_s = -math.inf

    def __call__(self, report: Any) -> None:
        """What an epoch came to must arrive, even if this process ends at once."""
        import ray

        from yolox_core.training.engine import EpochReport, Left, StepReport

        if isinstance(report, StepReport):
            now = time.monotonic()
            if now - self._step_told_s < STEPS_EVERY_S and report.step_in_epoch < report.steps_per_epoch:
                return
            self._step_told_s = now
        self._gauges.show(report)
        delivered = self._board.put.remote(pickle.dumps(report))
        if isinstance(report, (EpochReport, Left)):
            ray.get(delivered)
