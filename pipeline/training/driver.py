"""One training run from plan to released model: resumed where it was interrupted, released when complete.

The run lives in runs/<name>-<hash>, outside DVC's outputs; only what is released is copied out at the end. A run that
is already complete is only released again. The driver starts the workers (ray_train.py), follows what they report,
writes the run's files and MLflow, and holds nothing that a worker needs.
"""

import dataclasses
import json
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_cluster import ComputeConfig, check_address, cluster
from pipeline.cluster.ray_job import Submission, submit
from pipeline.cluster.store import Store
from pipeline.config import paths
from pipeline.config.digests import file_sha256
from pipeline.config.settings import Settings
from pipeline.console.extras import require_installed
from pipeline.data.coco.coco import read_coco
from pipeline.registry.dvc_remote import remote_images
from pipeline.registry.model_reference import STARTED_FROM, digest_to_use, initial_weights, origin
from pipeline.registry.run_log import RunLog
from pipeline.reports.csv_text import csv_of_rows
from pipeline.training import precision
from pipeline.training.checkpoint_sync import run_checkpoints
from pipeline.training.identity import identity, reading, records_digest
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.micro_batches import check_batch
from pipeline.training.order import Order, bring_home
from pipeline.training.progress import TrainingProgress
from pipeline.training.ray_train import fit
from pipeline.training.run_folder import add_timing, read_history, train_seconds, write_history
from pipeline.training.run_inputs import in_store
from pipeline.training.run_lock import LOCK_TIMEOUT_S, is_locked, run_lock
from pipeline.training.run_record import RunRecord
from yolox_core.atomic_files import new_folder, write_json, write_text
from yolox_core.config import WEIGHTS_FILE, DetectorSpec, Recipe
from yolox_core.data.albumentations import check_transforms
from yolox_core.errors import InputError
from yolox_core.training import checkpoint
from yolox_core.training.reports import EpochReport, Left, Started


def train(
    settings: Settings,
    compute: ComputeConfig | None = None,
    fresh: bool = False,
    submission: Submission | None = None,
) -> None:
    """Train and release: on this machine, on a cluster that is joined, or as a job on one that is submitted to.

    `fresh` deletes the run's checkpoints and starts over.
    """
    require_installed("torch")
    compute = compute or ComputeConfig.from_environment()
    submission = submission or Submission.from_environment()
    settle = precision.settled if submission is None else precision.of_begun
    store = Store(compute.store) if compute.store else None
    if store:
        store.check()
    config, planned = plan(settings, compute, settle), _initial_digest(settings)
    folder = Path(config.run)
    sync = run_checkpoints(config.runs, config.called, folder) if config.runs else None
    if sync and not fresh:
        sync.download()
    stages = submission.stages if submission else ()
    if fresh or stages or not is_complete(folder):
        initial = initial_weights(settings.model, Recipe.from_dict(config.recipe).model)
        config = dataclasses.replace(config, initial=initial)
        if _initial_digest(settings) != planned:  # what was fetched is another of the known files: another run
            return train(settings, compute, fresh, submission)
        if submission is None:
            check_address(compute)
        if fresh and folder.exists():
            with run_lock(folder):
                clear(folder)
        if fresh and sync:
            sync.clear()
        _train(settings, config, compute, submission, store)
        if sync:
            sync.download()
            if not is_complete(folder):
                raise InputError(
                    f"{sync.store.address}: the run's last checkpoint has not arrived there. Run again: it resumes "
                    "from the newest that has."
                )
    release_run(folder)


def _train(
    settings: Settings,
    config: TrainLoopConfig,
    compute: ComputeConfig,
    submission: Submission | None,
    store: Store | None,
) -> None:
    """Here, or there: what workers need goes through the store, where there is one and they are others' machines."""
    started_from = origin(settings.model.weights, _initial_digest(settings))
    stages = submission.stages if submission else ()
    if store and (submission or compute.address):
        if submission:  # as many threads as the cluster has cores for, not this machine
            config = dataclasses.replace(config, threads=settings.train.threads or compute.threads or 0)
        config = through_store(config, compute, store, with_test=bool(stages))
    order = Order.of(settings, config, started_from)
    if submission is None:
        train_run(order, compute)
    elif store is None:
        submit(submission, config.called)
    else:
        digest = order.with_stages(store, stages).sent(store)
        if not (stages and bring_home(store, config.called, digest)):
            submit(submission, config.called, digest)
            RunRecord(store, config.called, Path(config.run)).fetch()
            if stages and not bring_home(store, config.called, digest):
                raise InputError(
                    f"{store.address}: expected what {', '.join(stages)} wrote, got nothing. Submit again."
                )


def through_store(config: TrainLoopConfig, compute: ComputeConfig, store: Store, with_test: bool) -> TrainLoopConfig:
    """The run with images in a DVC remote, or at YOLOX_IMAGES, and all else in the store."""
    if compute.images:
        return in_store(config, store, {}, {})
    splits = ("train", "val", "test") if with_test else ("train", "val")
    parts = [read_coco(paths.prepared(split), paths.RAW_IMAGES) for split in splits]
    found = remote_images(store.address, {image.file_name for part in parts for image in part.images})
    return in_store(dataclasses.replace(config, images=found.address), store, found.objects, found.options)


def plan(
    settings: Settings, compute: ComputeConfig, settle: Callable[..., Recipe] = precision.settled
) -> TrainLoopConfig:
    """Check everything that can be checked before a worker starts, and make the config of the workers.

    `settle`: what decides the precision, of training/precision.py.
    """
    manifest = _read_json(paths.MANIFEST, "prepare")
    weights = _initial_digest(settings)
    recipe = settings.recipe(len(manifest["class_names"]))
    spec = DetectorSpec(
        model=recipe.model,
        class_names=tuple(manifest["class_names"]),
        category_ids=tuple(manifest["category_ids"]),
        input_size=recipe.train.input_size,
        value_range=settings.data.range,
    )
    for workers in compute.counts:
        check_batch(recipe, workers)
    if recipe.train.patience is not None and not manifest["images"]["val"]:
        raise InputError("train.patience: expected validation images to measure on, got none. Raise data.split.val.")
    check_transforms(recipe.augment)
    if recipe.train.freeze:
        from yolox_core.model.yolox import check_freezing

        check_freezing(recipe.train.freeze)
    records = {
        name: records_digest(read_coco(paths.prepared(name), paths.RAW_IMAGES), manifest["files"])
        for name in ("train", "val")
    }

    def folder_of(recipe: Recipe) -> Path:
        name = identity(recipe.to_dict(), records, weights, **reading(settings.data.range))
        return (paths.RUNS / f"{settings.data_name}-{name}").resolve()

    recipe = settle(recipe, manifest["images"]["train"], compute, folder_of)
    folder = folder_of(recipe)
    return TrainLoopConfig(
        recipe=recipe.to_dict(),
        spec=spec.to_dict(),
        images=compute.images or str(paths.RAW_IMAGES.resolve()),
        digests=str(paths.MANIFEST.resolve()),
        training=str(paths.prepared("train").resolve()),
        validation=str(paths.prepared("val").resolve()),
        initial=None,  # looked up only where something is left to train
        run=str(folder),
        threads=recipe.train.threads or compute.cores_per_worker(),
        loader_workers=compute.loader_workers,
        checkpoint_minutes=recipe.train.checkpoint_minutes,
        report_queue=f"report-queue-{secrets.token_hex(4)}",  # several runs may share a cluster
        cache=compute.cache,
        cache_bytes=compute.cache_gib << 30,
        name=folder.name,
        runs=compute.runs,
    )


def train_run(
    order: Order, compute: ComputeConfig, note: Callable[[], None] = lambda: None, tracked: bool = True
) -> None:
    """Train here or on the cluster that is joined, with MLflow following; SystemExit where it was told to end.

    `note` is called when files of the run's folder have been written; not `tracked`, MLflow hears of it later.
    """
    folder = Path(order.config.run)
    folder.mkdir(parents=True, exist_ok=True)
    say_if_locked(folder)
    trained = precision.facts(folder, Recipe.from_dict(order.config.recipe), compute.gpu)
    tags = {**order.tags, "precision": trained["precision"]}
    log = RunLog.open(folder, order.experiment, folder.name, order.params, tags) if tracked else None
    facts = _Facts(folder, compute, order.started_from, trained)
    status, left = "FAILED", None
    try:
        with TrainingProgress() as progress, cluster(compute, meanwhile="torch"), asked_to_end() as leave:

            def on_report(report: Any) -> None:
                nonlocal left
                progress.show(report)
                facts.add(report)
                left = report if isinstance(report, Left) else None
                if log and isinstance(report, EpochReport):
                    log.log_epoch(report.row, report.timing)
                if isinstance(report, (Started, EpochReport)):
                    note()

            fit(order.config, compute, on_report, leave)
        status = "KILLED" if left else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if log:
            log.finish(status)
    if left:
        where = f"epoch {left.epoch + 1}, {left.step_in_epoch} of its {left.steps_per_epoch} steps done"
        print(f"train: interrupted, saved ({where}). Run again: it resumes from there.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM)


def say_if_locked(run: Path) -> None:
    """A line where another process works in the run: the first worker waits for it, and its words do not come here."""
    if is_locked(run):
        print(
            f"{run}: another process works in this folder; waiting for its end, {LOCK_TIMEOUT_S:.0f} s at most",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def asked_to_end() -> Iterator[threading.Event]:
    """Set by the first SIGTERM of the block (a node is reclaimed, a job is stopped); a second one ends at once."""
    asked = threading.Event()

    def note(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def release_run(folder: Path) -> None:
    """Copy the model to use out of the run: the best by validation map, or the last EMA where nothing was measured."""
    checkpoints = folder / "checkpoints"
    progress = checkpoint.progress(checkpoints)
    if progress is None:
        raise InputError(
            f"{folder}: expected the run's checkpoints, got none. A submitted job trains in the cluster's workspace "
            "(YOLOX_WORKSPACE), which must be this folder, shared."
        )
    from yolox_core.model.weights import read_weights, release

    is_best = progress.best_epoch is not None
    weights = read_weights(checkpoints / (checkpoint.BEST if is_best else progress.checkpoint))
    with new_folder(paths.TRAINED) as target:
        release(target, weights.build(), weights.spec)
    history = read_history(folder)
    if len(history) != progress.epoch:  # a driver that was killed at the very end has not written its last row
        history = checkpoint.read(checkpoints / progress.checkpoint)["history"]
        write_history(folder, history)
    write_text(paths.HISTORY, csv_of_rows(history))  # for `dvc plots`
    digest = file_sha256(paths.TRAINED / WEIGHTS_FILE)
    write_json(
        paths.TRAINING,
        {
            "run": folder.name,
            "epochs": progress.epoch,
            "released": "best" if is_best else "last",
            "best_epoch": progress.best_epoch,
            "weights_sha256": digest,
            "history_sha256": file_sha256(folder / "history.jsonl"),
            "train_seconds": round(train_seconds(folder), 1),
            **_known_summary(folder),
        },
    )
    print(f"train: run {folder.name}, weights {digest[:12]}")


def clear(folder: Path) -> None:
    """Remove all of a run but what decided its precision."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != precision.FILE:
            path.unlink()


def is_complete(folder: Path) -> bool:
    """Whether the run's newest checkpoint is that of its last epoch."""
    progress = checkpoint.progress(folder / "checkpoints")
    return progress is not None and progress.complete


class _Facts:
    """Writes down a run as it happens: history.jsonl, timing.jsonl, and at the end summary.json."""

    def __init__(
        self, folder: Path, compute: ComputeConfig, started_from: Mapping[str, Any] | None, trained: dict[str, Any]
    ) -> None:
        self.folder, self.compute, self.started_from, self.trained = folder, compute, started_from, trained
        self.initial: dict[str, Any] | None = _known_summary(folder).get("initial_weights")

    def add(self, report: Any) -> None:
        if isinstance(report, Started):
            write_history(self.folder, report.history)
            if report.load_report:
                self.initial = report.load_report.to_dict()
            self._write()
        elif isinstance(report, EpochReport):
            write_history(self.folder, report.history)
            add_timing(self.folder, report.row["epoch"], report.timing)

    def _write(self) -> None:
        summary = {
            "workers": self.compute.workers,
            "device": "cuda" if self.compute.gpu else "cpu",
            **self.trained,
            "initial_weights": self.initial,
            STARTED_FROM: self.started_from,
        }
        write_json(self.folder / "summary.json", summary)


def _initial_digest(settings: Settings) -> str | None:
    return digest_to_use(settings.model, _read_json(paths.WEIGHTS, "fingerprint")["digest"])


def _known_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return summary


def _read_json(path: Path, stage: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run `dvc repro`, or `yolox {stage}` first.")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
