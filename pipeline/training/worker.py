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
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.training.checkpoint_sync import FOLDER, run_checkpoints
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.node_image_cache import NodeImageCache, check_folder, is_address
from pipeline.training.prometheus import PrometheusMetrics
from pipeline.training.run_inputs import on_this_node
from pipeline.training.run_lock import run_lock
from yolox_core.errors import InputError

HEARTBEAT_S = 1.0
STEPS_EVERY_S = 0.5


@dataclass(frozen=True)
class Refusal:
    """Why a worker would not train: one line for the user."""

    line: str


@dataclass(frozen=True)
class Notice:
    """A line for the user about something that the training survives."""

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
    reporter = _Reporter(report_queue, config.called) if first else None
    worker = f"worker {context.get_world_rank()} on {socket.gethostname()}"
    try:
        config = on_this_node(config)
        with (
            run_lock(Path(config.run)) if first else nullcontext(),
            _RayReports(config, first, report_queue) as to_ray,
            _HeartbeatSender(report_queue, context.get_world_rank()) as heartbeat,
        ):
            for report in reports(config, ray.train.torch.get_device(), worker, heartbeat.asked):
                heartbeat.at(report)
                if reporter:
                    reporter(report)
                to_ray(report)
    except InputError as refused:
        ray.get(report_queue.refuse.remote(pickle.dumps(Refusal(str(refused)))))
        if context.get_world_size() > 1:
            raise  # the other ranks must not wait for this one; the driver shows the line, not the traceback


class _RayReports:
    """Epochs for Ray's own pages, and where a store is named their checkpoints; every rank reports equally often.

    In its block the first worker has the newest checkpoints of wherever the run was before.
    """

    def __init__(self, config: TrainLoopConfig, first: bool, report_queue: Any) -> None:
        self._runs, self._folder = config.runs, Path(config.run) / FOLDER
        self._upload: Any = None
        if config.runs and first:
            from pipeline.training.checkpoint_upload import CheckpointUpload  # pyarrow, which others do without

            def tell(line: str) -> None:
                report_queue.put.remote(pickle.dumps(Notice(line)))

            self._sync = run_checkpoints(config.runs, config.called, Path(config.run))
            self._upload = CheckpointUpload(self._sync, self._folder, tell)

    def __enter__(self) -> "_RayReports":
        if self._upload:
            self._sync.download()
        return self

    def __exit__(self, *_: object) -> None:
        if self._upload:
            self._upload.end()

    def __call__(self, report: Any) -> None:
        """What the engine has just reported."""
        from yolox_core.training.reports import EpochReport, Left, Saved, Started

        if isinstance(report, EpochReport):
            plain = {name: value for name, value in report.row.items() if isinstance(value, (int, float))}
            self._report(plain, report.checkpoint.name if report.checkpoint else None)
        elif self._runs and isinstance(report, Saved):
            self._report({"epoch": report.epoch}, report.checkpoint.name if report.checkpoint else None)
        elif self._runs and isinstance(report, Left):
            self._report({"epoch": report.epoch}, None)  # it is written
        elif self._runs and isinstance(report, Started) and report.epoch:
            self._report({"epoch": report.epoch - 1}, None)

    def _report(self, figures: dict[str, Any], written: str | None) -> None:
        import ray.train

        if self._runs is None:
            ray.train.report(figures)
            return
        sent: dict[str, Any] = {}
        if self._upload:
            self._folder.mkdir(parents=True, exist_ok=True)
            checkpoint = ray.train.Checkpoint.from_directory(str(self._folder))
            sent = {"checkpoint": checkpoint, "checkpoint_upload_fn": self._upload.of(written)}
        ray.train.report(
            figures,
            checkpoint_dir_name=FOLDER,  # always the same: the newest two and the best lie in it
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=False,
            **sent,
        )


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

    fetch = image_cache(config, worker)
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
            checkpoint_minutes=config.checkpoint_minutes,
            threads=config.threads,
            leave=leave,
        )
    )


def image_cache(config: TrainLoopConfig, worker: str) -> NodeImageCache | None:
    """What brings images to this node; None where they are there. InputError where others are."""
    listing = json.loads(Path(config.digests).read_text(encoding="utf-8"))
    if not is_address(config.images):
        check_folder(Path(config.images), listing["files"], worker)
        return None
    folder = Path(config.cache).expanduser()
    by_md5 = {name: listing.get(name, {}) for name in ("objects", "options")}
    return NodeImageCache(config.images, listing["files"], folder, config.cache_bytes, **by_md5)


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
