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

from pipeline.training.checkpoint_sync import CheckpointSync
from pipeline.training.node_image_cache import NodeImageCache, check_folder, is_address
from pipeline.training.prometheus import PrometheusMetrics
from pipeline.training.run_lock import run_lock
from yolox_core.errors import InputError

HEARTBEAT_S = 1.0
STEPS_EVERY_S = 0.5


@dataclass(frozen=True)
class TrainLoopConfig:
    """One training run, as its workers get it."""

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
    report_queue: str  # name of the report queue's actor
    cache: str = ""  # folder of each node for images fetched from an address
    cache_bytes: int = 0
    checkpoints: str = ""  # fsspec address where they are kept besides; empty: in the run's folder alone


@dataclass(frozen=True)
class Refusal:
    """Why a worker would not train: one line for the user."""

    line: str


def train_worker(train_loop_config: dict[str, Any]) -> None:
    """Train as the config says (a TrainLoopConfig as a dictionary). Input errors go to the queue; defects raise."""
    import ray
    import ray.train.torch

    config = TrainLoopConfig(**train_loop_config)
    report_queue = ray.get_actor(config.report_queue)
    if ray.get(report_queue.refused.remote()):
        return  # Ray has started all workers again after one refused: it would again
    context = ray.train.get_context()
    first = context.get_world_rank() == 0
    reporter = _Reporter(report_queue, Path(config.run).name) if first else None
    try:
        with (
            run_lock(Path(config.run)) if first else nullcontext(),
            _synced(config) if first else nullcontext(),
            _HeartbeatSender(report_queue, context.get_world_rank()) as heartbeat,
        ):
            worker = f"worker {context.get_world_rank()} on {socket.gethostname()}"
            for report in reports(config, ray.train.torch.get_device(), worker, heartbeat.asked):
                heartbeat.at(report)
                if reporter:
                    reporter(report)
                _report_to_ray(report)
    except InputError as refused:
        ray.get(report_queue.refuse.remote(pickle.dumps(Refusal(str(refused)))))
        if context.get_world_size() > 1:
            raise  # the other ranks must not wait for this one; the driver shows the line, not the traceback


@contextmanager
def _synced(config: TrainLoopConfig) -> Iterator[None]:
    """With the newest checkpoints of wherever the run was before, and what is written here sent there."""
    if not config.checkpoints:
        yield
        return
    sync = CheckpointSync(config.checkpoints, Path(config.run) / "checkpoints")
    sync.download()
    with sync:
        yield


class _HeartbeatSender:
    """Tells the queue how far this worker has come, from a thread of its own, and hears whether it is to leave."""

    def __init__(self, report_queue: Any, rank: int) -> None:
        self.leave = threading.Event()
        self._report_queue, self._rank = report_queue, rank
        self._epoch = self._step = 0
        self._measuring = True  # until the first step nobody knows how long things take
        self._evaluating = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "_HeartbeatSender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def asked(self) -> bool:
        """The engine asks at every step, and before every batch that it evaluates, whether to leave."""
        self._step, self._measuring = self._step + 1, self._evaluating
        return self.leave.is_set()

    def at(self, report: Any) -> None:
        """What the engine has just reported."""
        from yolox_core.training.reports import EpochReport, Measuring

        if isinstance(report, Measuring):
            self._measuring = self._evaluating = True
        elif isinstance(report, EpochReport):
            self._epoch, self._step, self._measuring, self._evaluating = report.row["epoch"] + 1, 0, True, False

    def _beat(self) -> None:
        import ray

        from pipeline.training.report_queue import Heartbeat

        node = ray.get_runtime_context().get_node_id()
        while not self._ended.wait(HEARTBEAT_S):
            heartbeat = Heartbeat(self._rank, os.getpid(), node, self._epoch, self._step, self._measuring)
            try:
                if ray.get(self._report_queue.beat.remote(heartbeat)):
                    self.leave.set()
            except ray.exceptions.RayError:
                return  # the driver is gone, and Ray will end this process


def reports(config: TrainLoopConfig, device: Any, worker: str, leave: Callable[[], bool]) -> Iterator[Any]:
    """The engine's reports of a run; `worker` is what a message calls this one."""
    from pipeline.data.coco.coco import read_coco
    from yolox_core.collectives import World
    from yolox_core.config import DetectorSpec, Recipe
    from yolox_core.data.records import DatasetRecords
    from yolox_core.model.weights import read_weights
    from yolox_core.training.engine import TrainingJob, train

    fetch = _fetch(config, worker)
    spec = DetectorSpec.from_dict(config.spec)

    def records(annotations: str) -> DatasetRecords:
        read = read_coco(Path(annotations), Path(config.images))
        return replace(read, fetch=fetch, value_range=spec.value_range)

    yield from train(
        TrainingJob(
            recipe=Recipe.from_dict(config.recipe),
            spec=spec,
            training=records(config.training),
            validation=records(config.validation),
            initial=read_weights(Path(config.initial)) if config.initial else None,
            checkpoints=Path(config.run) / "checkpoints",
            device=device,
            world=World.current(),
            loader_workers=config.loader_workers,
            threads=config.threads,
            leave=leave,
        )
    )


def _fetch(config: TrainLoopConfig, worker: str) -> NodeImageCache | None:
    """What brings images to this node; None where they are there. InputError where others are."""
    digests = json.loads(Path(config.digests).read_text(encoding="utf-8"))["files"]
    if is_address(config.images):
        return NodeImageCache(config.images, digests, Path(config.cache).expanduser(), config.cache_bytes)
    check_folder(Path(config.images), digests, worker)
    return None


def _report_to_ray(report: Any) -> None:
    """Epoch figures for Ray's own pages; every rank calls it equally often."""
    import ray.train

    from yolox_core.training.reports import EpochReport

    if isinstance(report, EpochReport):
        plain = {name: value for name, value in report.row.items() if isinstance(value, (int, float))}
        ray.train.report(plain)


class _Reporter:
    """Passes the first worker's reports on, to driver and Prometheus; of steps not more than one can look at."""

    def __init__(self, report_queue: Any, run: str) -> None:
        self._report_queue, self._metrics = report_queue, PrometheusMetrics(run)
        self._step_reported_s = -math.inf

    def __call__(self, report: Any) -> None:
        """What an epoch came to must arrive, even if this process ends at once."""
        import ray

        from yolox_core.training.reports import EpochReport, Left, StepReport

        if isinstance(report, StepReport):
            now = time.monotonic()
            if now - self._step_reported_s < STEPS_EVERY_S and report.step_in_epoch < report.steps_per_epoch:
                return
            self._step_reported_s = now
        self._metrics.show(report)
        delivered = self._report_queue.put.remote(pickle.dumps(report))
        if isinstance(report, (EpochReport, Left)):
            ray.get(delivered)
