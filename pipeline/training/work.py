"""A submitted run, on the cluster: an order is fetched from the store, carried out, and its results are left there.

The machine that runs this shares nothing with the one that submitted but the store. Its folder is a temporary one.
"""

import dataclasses
import json
import os
import platform
import secrets
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.cluster.store import FILES, RUNS, Store, until_it_answers
from pipeline.config import paths
from pipeline.config.digests import file_sha256
from pipeline.config.git_state import WRITTEN
from pipeline.data.coco.coco import read_coco
from pipeline.registry.store import connect, tracking_uri
from pipeline.training.checkpoint_sync import run_checkpoints
from pipeline.training.driver import is_complete, release_run, train_run
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.order import OUTPUTS, SWEEP, Order
from pipeline.training.run_inputs import fetch_files, on_this_node, send_file
from pipeline.training.run_record import RunRecord
from pipeline.training.worker import image_cache
from yolox_core.atomic_files import copy_file, write_json
from yolox_core.errors import InputError

RESULTS = (Path("models"), Path("reports"))
SWEEP_FILES = ("sweep-*/*.json", "sweep-*/*/*/*.json", "sweep-*/*/*/history.jsonl")  # what a sweep goes on from
Sweeping = Callable[[TrainLoopConfig, Callable[[], None]], None]


def work(digest: str, run_stage: Callable[[str], None], run_sweep: Sweeping) -> None:
    """Carry out the order of this sha256, in a folder of its own.

    `run_stage` runs a stage of the project in the current folder; `run_sweep` a sweep with trials like the config.
    """
    compute = ComputeConfig.from_environment()
    if compute.store is None:
        raise InputError("YOLOX_STORE: expected the address that the run was submitted with, got none. Set it.")
    store = Store(compute.store)
    order = _order(store, digest)
    with tempfile.TemporaryDirectory(prefix="yolox-work-") as name:
        os.chdir(name)
        config = dataclasses.replace(
            order.config,
            run=str((paths.RUNS / order.config.called).resolve()),
            threads=order.config.threads or compute.cores_per_worker(),
            report_queue=f"report-queue-{secrets.token_hex(4)}",
            cache=compute.cache,
            cache_bytes=compute.cache_gib << 30,
        )
        order = dataclasses.replace(order, config=config)
        if order.stages:
            write_json(Path(WRITTEN), dict(order.state))
            fetch_files(store, order.project, Path())
        if order.stages == [SWEEP]:
            with RunRecord(store, config.called, paths.RUNS.resolve(), SWEEP_FILES) as record:
                record.fetch()
                run_sweep(config, record.note)
        else:
            _train(order, store, compute, run_stage)
        if order.stages:
            outputs = {str(path): send_file(store, path) for path in _outputs(order.project)}
            said = json.dumps({"order": digest, "files": outputs})
            until_it_answers(lambda: store.write(f"{RUNS}/{config.called}/{OUTPUTS}", said.encode()))
        os.chdir("/")


def _order(store: Store, digest: str) -> Order:
    """InputError where it cannot be had here, or this Python is another."""
    try:
        order = Order.read(store.read(f"{FILES}/{digest}").decode())
    except Exception as failed:  # each kind of store has errors of its own
        raise store.unusable("read", failed) from failed
    here = ".".join(platform.python_version_tuple()[:2])
    if here != order.python:
        raise InputError(
            f"{socket.gethostname()}: expected Python {order.python}, as where the run was submitted, got {here}. "
            "Run both with the same version."
        )
    return order


def _train(order: Order, store: Store, compute: ComputeConfig, run_stage: Callable[[str], None]) -> None:
    """The training, unless it is complete, and the stages after it."""
    if order.stages:
        _check_mlflow()
    config, folder = order.config, Path(order.config.run)
    assert config.runs is not None  # of the store
    sync, record = run_checkpoints(config.runs, config.called, folder), RunRecord(store, config.called, folder)
    record.fetch()
    if order.stages:
        sync.download()
    if not is_complete(folder):
        with record:
            train_run(order, compute, record.note, tracked="MLFLOW_TRACKING_URI" in os.environ)
    if not order.stages:
        return
    sync.download()
    release_run(folder)
    _bring_test_images(config)
    for stage in order.stages:
        run_stage(stage)


def _check_mlflow() -> None:
    """InputError where the stages to come would not reach MLflow from here; before hours of training."""
    if "MLFLOW_TRACKING_URI" not in os.environ:
        raise InputError(
            "MLFLOW_TRACKING_URI: expected the server to register at, which the cluster can reach, got none. "
            "Set it, and submit again."
        )
    here = socket.gethostname()
    connect(
        tracking_uri(), advice=f"This is {here}, a node of the cluster, which has to reach it: set another address."
    )


def _bring_test_images(config: TrainLoopConfig) -> None:
    """The images that the stages to come read, to where they lie in a project."""
    here = on_this_node(config)
    cache = image_cache(here, socket.gethostname())
    for image in read_coco(paths.prepared("test"), paths.RAW_IMAGES).images:
        if cache is not None:
            path = paths.RAW_IMAGES / image.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            copy_file(cache(image.file_name), path)


def _outputs(project: Mapping[str, str]) -> list[Path]:
    """What the stages wrote: not what was brought here for them."""
    written = [path for folder in RESULTS for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in written if project.get(str(path)) != file_sha256(path)]
