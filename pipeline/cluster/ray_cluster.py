"""The only place that starts or joins a Ray cluster, and sets its environment.

Without RAY_ADDRESS a cluster of this machine alone is started for the time of the block, on the loopback interface,
with a token of its own; with it, that cluster is joined. A running cluster is never joined by accident.
"""

import ctypes
import importlib
import math
import os
import secrets
import shutil
import site
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_address import no_cluster_answers, nobody_listens
from pipeline.cluster.ray_paths import folder_of_sockets, harmless_start, import_ray, is_harmless, ray_folder
from pipeline.cluster.store import RUNS
from pipeline.cluster.store import VARIABLE as STORE
from yolox_core.cpus import cores
from yolox_core.errors import InputError

CODE = Path(__file__).parents[2]  # the folder of this project's packages
AMD_DRIVER = Path("/dev/kfd")
CHECKPOINTS = "YOLOX_CHECKPOINTS"
DEFAULT_CACHE = "~/.cache/yolox-pipeline/images"
OBJECT_STORE_BYTES = 200 * 2**20  # no Ray Data here: only small reports pass through it
SHARED_MEMORY = Path("/dev/shm")
START_LIMIT_S = 180.0  # of a cluster; 10 s on a quiet machine, a minute on a busy one
FREE_SOME = "Free memory and processes of this machine, then run again."
START_WITHIN = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
FEWER_AFTER_S = "60"  # Ray first tries as many workers as before, on nodes that it has not yet missed
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONSAFEPATH": "1",  # loaders, too, import no package of the folder that all run in: see _driver_code
    # 2 s, the default, is long for those who wait; each look costs the training some CPU
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    START_WITHIN: "300",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # tables are our own
    "RAY_AIR_NEW_OUTPUT": "0",  # the older one is silent when told to be
    "TUNE_GLOBAL_CHECKPOINT_S": "5",  # how much of Tune's bookkeeping a kill may cost
    # a worker that asked for no GPU sees none
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_DEDUP_LOGS": "0",
    # by default (15) training gives way to everything else on the machine
    "RAY_worker_niceness": "0",
}


@dataclass(frozen=True)
class ComputeConfig:
    """Where and on what a run works: never part of what the run is. From the environment, or command-line options."""

    workers: int = 1
    min_workers: int | None = None  # go on with so many where no more fit after a loss; None: wait for all
    loader_workers: int = 0  # processes that load images, per worker; 0: a thread
    gpu: bool = False
    address: str | None = None  # of a Ray cluster; None: this machine alone
    hang_s: float = 1800.0  # a worker that does no step for so long is replaced
    threads: int | None = None  # of a worker; None: the cores of the driver's machine, shared evenly
    images: str | None = None  # fsspec address from which nodes fetch them; None: the driver's folder is theirs, too
    cache: str = DEFAULT_CACHE  # folder of each node for what it fetched
    cache_gib: int = 50
    trials: int = 1  # of a sweep at once
    gpu_per_trial: float = 1.0  # a share, or several
    store: str | None = None  # fsspec address that all share; None: the project's folder, which every node has
    checkpoints: str | None = None  # until the next release: a store of checkpoints alone

    def __post_init__(self) -> None:
        for name, value, lowest in (
            ("workers", self.workers, 1),
            ("loader-workers", self.loader_workers, 0),
            ("trials", self.trials, 1),
        ):
            if value < lowest:
                raise InputError(f"--{name}: expected a whole number of at least {lowest}, got {value}.")
        if self.min_workers is not None and self.min_workers > self.workers:
            raise InputError(
                f"YOLOX_MIN_WORKERS: expected at most the {self.workers} of YOLOX_WORKERS, got {self.min_workers}."
            )

    @classmethod
    def from_environment(cls) -> "ComputeConfig":
        """YOLOX_WORKERS and its like (docs/training.md), and RAY_ADDRESS."""
        return cls(
            workers=_count("YOLOX_WORKERS", 1, lowest=1),
            min_workers=_count("YOLOX_MIN_WORKERS", 0, lowest=0) or None,
            loader_workers=_count("YOLOX_LOADER_WORKERS", 0, lowest=0),
            gpu=_gpu(os.environ.get("YOLOX_GPU", "auto")),
            address=os.environ.get("RAY_ADDRESS") or None,
            hang_s=_count("YOLOX_HANG_S", 1800, lowest=10),
            threads=_count("YOLOX_THREADS", 0, lowest=0) or None,
            images=os.environ.get("YOLOX_IMAGES") or None,
            cache=os.environ.get("YOLOX_CACHE", DEFAULT_CACHE),
            cache_gib=_count("YOLOX_CACHE_GIB", 50, lowest=1),
            trials=_count("YOLOX_TRIALS", 1, lowest=1),
            gpu_per_trial=_share("YOLOX_GPU_PER_TRIAL", 1.0),
            store=os.environ.get(STORE) or None,
            checkpoints=_former_checkpoints(),
        )

    @property
    def through_store(self) -> bool:
        """Whether nodes get all that they need from the store: the folder is this machine's alone."""
        return self.store is not None and self.address is not None

    @property
    def runs(self) -> tuple[str, str] | None:
        """The address below which runs keep their checkpoints besides, and the variable that says so."""
        if self.store is not None:
            return f"{self.store.rstrip('/')}/{RUNS}", STORE
        return None if self.checkpoints is None else (self.checkpoints, CHECKPOINTS)

    @property
    def counts(self) -> range:
        """The numbers of workers that the run may have."""
        return range(self.min_workers or self.workers, self.workers + 1)

    def cores_per_worker(self) -> int:
        """CPU cores for one worker: as told, or those of this machine, shared evenly."""
        return self.threads or max(1, cores() // self.workers)


def check_address(compute: ComputeConfig) -> None:
    """InputError where no Ray cluster answers at RAY_ADDRESS, or one cannot start here; before any work is done."""
    if compute.address is None:
        folder_of_sockets()
        return
    if reason := nobody_listens(compute.address):
        raise _no_answer(compute.address, reason)
    set_environment(compute)
    if reason := no_cluster_answers(compute.address):
        raise _no_answer(compute.address, reason)


def _no_answer(address: str | None, reason: str) -> InputError:
    return InputError(
        f"RAY_ADDRESS={address}: no Ray cluster answers ({reason[:120]}). "
        "Start it, or unset RAY_ADDRESS to run on this machine."
    )


def set_environment(compute: ComputeConfig) -> None:
    """What Ray reads once, when it is imported; and its import by paths that it can start processes from."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if compute.min_workers:
        os.environ[START_WITHIN] = FEWER_AFTER_S
    if compute.address is None:
        if "RAY_AUTH_TOKEN" not in os.environ:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        import_ray()


@contextmanager
def cluster(compute: ComputeConfig, meanwhile: str | None = None) -> Iterator[None]:
    """A Ray cluster for the block. InputError where the one at RAY_ADDRESS does not answer, or none starts here.

    `meanwhile` names a module that the block needs, imported in a thread while Ray starts: one that shares no package
    with what Ray imports as it starts, since two threads that import one package at once can see a half-made one.
    """
    doing = "starting on this machine" if compute.address is None else f"joining {compute.address}"
    print(f"ray: {doing}", file=sys.stderr, flush=True)  # a busy machine takes a minute
    check_address(compute)
    set_environment(compute)
    import ray

    with ray_folder() if compute.address is None else nullcontext() as folder:
        arguments = _local(compute, folder) if folder else {"address": compute.address}
        arguments |= {"log_to_driver": False, "logging_level": "warning", "namespace": "yolox"}
        arguments["job_config"] = _driver_code()
        with imported_beside(meanwhile):
            _init(arguments, compute.address)
        try:
            if compute.address:
                _check_workers(compute.address)
            yield
        finally:
            ray.shutdown()


def _init(arguments: dict[str, Any], address: str | None) -> None:
    """`ray.init` in the main thread: it handles signals. InputError where it fails, an end with words if it hangs."""
    import ray

    where = "on this machine" if address is None else f"at RAY_ADDRESS={address}"
    logs = f" Its logs are in {arguments['_temp_dir']}." if address is None else ""
    expected = f"Ray {where}: expected it to start within {START_LIMIT_S:.0f} s, got nothing."
    hangs = threading.Timer(START_LIMIT_S, _give_up, [expected + logs])
    hangs.daemon = True
    hangs.start()
    try:
        with harmless_start():
            ray.init(**arguments)
    except Exception as failed:  # Ray raises this very class, too
        lines = str(failed).strip().splitlines() or [type(failed).__name__]
        reason = lines[-1 if address is None else 0]  # of what starts here Ray quotes a log, the reason last
        if address is None:
            raise InputError(f"Ray {where}: does not start ({reason[:200]}). {FREE_SOME}") from failed
        raise _no_answer(address, reason) from failed
    finally:
        hangs.cancel()


def _give_up(what: str) -> None:
    """End the process: `ray.init` waits where no signal and no exception arrive. Its processes notice, and end."""
    print(f"error: {what} {FREE_SOME}", file=sys.stderr, flush=True)
    os._exit(2)


def _check_workers(address: str) -> None:
    """InputError where the cluster that was joined starts no worker here, or none that has a runtime environment."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    asked = ray.remote(_executable).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        executable: str = ray.get(asked, timeout=START_LIMIT_S)
    except ray.exceptions.GetTimeoutError as none:
        raise _no_answer(address, f"it starts no worker within {START_LIMIT_S:.0f} s") from none
    if not is_harmless(executable):
        raise InputError(
            f"RAY_ADDRESS={address}: expected nodes whose Python has a path that a shell takes as it is, got "
            f"{executable}. Start the nodes from another folder: Ray cannot start workers by such a path."
        )


def wait_for_room(compute: ComputeConfig, worker: Mapping[str, float]) -> None:
    """Wait until the cluster that was joined is large enough for the fewest workers, each of these resources.

    Nodes may be on their way: Ray's autoscaler is asked for them. InputError after a while, with what is there.
    """
    import ray
    from ray.autoscaler.sdk import request_resources

    api: Any = ray  # its functions have no types

    workers, within_s = compute.min_workers or compute.workers, float(os.environ[START_WITHIN])
    wanted = {name: amount * workers for name, amount in worker.items()}

    def lacking() -> str:
        there = api.cluster_resources()
        parts = [f"{amount:g} {name}s, got {there.get(name, 0):g}" for name, amount in wanted.items()]
        is_enough = all(there.get(name, 0) >= amount for name, amount in wanted.items())
        return "" if is_enough else f"{' and '.join(parts)} on {sum(node['Alive'] for node in api.nodes())} nodes"

    deadline_s, asked = time.monotonic() + within_s, False
    while what := lacking():
        if not asked:
            print(f"ray: expected {what}; waiting for nodes, {within_s:.0f} s at most", file=sys.stderr, flush=True)
            request_resources(bundles=[dict(worker)] * workers)
            asked = True
        if time.monotonic() > deadline_s:
            raise InputError(
                f"RAY_ADDRESS={compute.address}: expected for {workers} workers {what}, for {within_s:.0f} s. "
                "Add nodes, or lower YOLOX_WORKERS or YOLOX_THREADS."
            )
        time.sleep(1)
    if asked:
        request_resources(bundles=[])


def _executable() -> str:
    return sys.executable


@contextmanager
def imported_beside(name: str | None) -> Iterator[None]:
    """A module imported beside the block, and there after it. What goes wrong is raised by whoever imports it next."""
    if name is None:
        yield
        return
    thread = threading.Thread(target=importlib.import_module, args=(name,), name=f"import {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _driver_code() -> Any:
    """A job's setting by which its workers import the packages that this process imports.

    Left alone, Ray puts the folder that the driver runs in before everything else on their `sys.path`. That folder is
    the user's, and a package `pipeline` in it would be taken for ours.
    """
    from ray.job_config import JobConfig

    is_installed = str(CODE) in (*site.getsitepackages(), site.getusersitepackages())  # then they find it anyway
    config: Any = JobConfig(_py_driver_sys_path=[] if is_installed else [str(CODE)])
    config._runtime_env_has_working_dir = lambda: True  # what Ray asks before it adds the folder, and only there
    return config


def _local(compute: ComputeConfig, folder: Path) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(cores(), compute.workers * compute.cores_per_worker()),  # threads may be more than cores
        # Train's and Tune's clean-up of placement groups needs the dashboard's state API
        "include_dashboard": True,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(folder),
    }
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < OBJECT_STORE_BYTES:
        # Ray would take this folder by itself, and warn of slowness; what passes through the store here is small
        arguments["_plasma_directory"] = str(folder)
    return arguments


def _count(name: str, default: int, lowest: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < lowest:
        raise InputError(f"{name}: expected a whole number of at least {lowest}, got {text!r}.")
    return int(text)


def _former_checkpoints() -> str | None:
    found = os.environ.get(CHECKPOINTS) or None
    if found and not os.environ.get(STORE):
        print(
            f"deprecated: {CHECKPOINTS} goes with the next release. Set {STORE}: runs keep their checkpoints in its "
            f"{RUNS}/.",
            file=sys.stderr,
        )
    return found


def _share(name: str, default: float) -> float:
    text = os.environ.get(name, str(default))
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < math.inf or (share > 1 and share != int(share)):
        raise InputError(f"{name}: expected a share of a GPU up to 1, or a whole number of them, got {text!r}.")
    return share


def _has_gpu() -> bool:
    """Whether PyTorch sees a GPU; it is imported, which takes seconds, only where there is a driver for one."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        if not AMD_DRIVER.exists():
            return False
    import torch

    return torch.cuda.is_available()


def _gpu(text: str) -> bool:
    if text not in ("auto", "0", "1"):
        raise InputError(f"YOLOX_GPU: expected auto, 0 or 1, got {text!r}.")
    if text == "0":
        return False
    present = _has_gpu()
    elsewhere = os.environ.get("RAY_ADDRESS") or os.environ.get("YOLOX_SUBMIT")
    if text == "1" and not present and not elsewhere:
        raise InputError("YOLOX_GPU=1: no CUDA device on this machine. Unset it to train on the CPU.")
    return present or text == "1"
