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
from pipeline.cluster.store import FILES, RUNS, Store
from pipeline.config import paths
from pipeline.config.digests import file_sha256
from pipeline.config.git_state import WRITTEN
from pipeline.data.coco.coco import read_coco
from pipeline.registry.store import connect, tracking_uri
from pipeline.training.checkpoint_sync import run_checkpoints
from pipeline.training.driver import is_complete, release_run, train_run
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.order import OUTPUTS, Order
from pipeline.training.run_inputs import fetch_files, on_this_node, send_file
from pipeline.training.run_record import RunRecord
from pipeline.training.worker import image_cache
from yolox_core.atomic_files import copy_file, write_json
from yolox_core.errors import InputError

RESULTS = (Path("models"), Path("reports"))


def work(digest: str, run_stage: Callable[[str], None]) -> None:
    """Carry out the order of this sha256; `run_stage` runs one of the project's stages in the current folder."""
    compute = ComputeConfig.from_environment()
    if compute.store is None:
        raise InputError("YOLOX_STORE: expected the address that the run was submitted with, got none. Set it.")
    store = Store(compute.store)
    order = _order(store, digest)
    with tempfile.TemporaryDirectory(prefix="yolox-work-") as name:
        os.chdir(name)
        _carry_out(order, digest, store, compute, run_stage)
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


def _carry_out(
    order: Order, digest: str, store: Store, compute: ComputeConfig, run_stage: Callable[[str], None]
) -> None:
    if order.stages:
        _check_mlflow()
    folder = (paths.RUNS / order.config.called).resolve()
    config = dataclasses.replace(
        order.config,
        run=str(folder),
        threads=order.config.threads or compute.cores_per_worker(),
        report_queue=f"report-queue-{secrets.token_hex(4)}",
        cache=compute.cache,
        cache_bytes=compute.cache_gib << 30,
    )
    assert config.runs is not None  # of the store
    sync = run_checkpoints(config.runs, config.called, folder)
    if order.stages:
        sync.download()
    if not is_complete(folder):
        with RunRecord(store, config.called, folder) as record:
            record.fetch()
            train_run(
                dataclasses.replace(order, config=config), compute, record.note, "MLFLOW_TRACKING_URI" in os.environ
            )
    if not order.stages:
        return
    write_json(Path(WRITTEN), dict(order.state))
    fetch_files(store, order.project, Path())
    sync.download()
    RunRecord(store, config.called, folder).fetch()
    release_run(folder)
    _bring_test_images(config)
    for stage in order.stages:
        run_stage(stage)
    outputs = {str(path): send_file(store, path) for path in _outputs(order.project)}
    store.write(f"{RUNS}/{config.called}/{OUTPUTS}", json.dumps({"order": digest, "files": outputs}).encode())


def _check_mlflow() -> None:
    """InputError where the stages to come would not reach MLflow from here; before hours of training."""
    if "MLFLOW_TRACKING_URI" not in os.environ:
        raise InputError(
            "MLFLOW_TRACKING_URI: expected the server to register at, which the cluster can reach, got none. "
            "Set it, and submit again."
        )
    connect(tracking_uri(), advice=f"The cluster ({socket.gethostname()}) has to reach it, as this machine may do.")


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
