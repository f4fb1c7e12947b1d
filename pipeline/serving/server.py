"""A model as a web service, on this machine or a cluster, until SIGINT or SIGTERM.

What can be refused is refused before anything is started: the port, the processors, the model itself. app.py is what
answers; uvicorn_server.py runs it on one machine, deployment.py on Ray Serve. This file imports neither, nor a model's
libraries, until it is known which is needed.
"""

import ipaddress
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cluster.ray_cluster import ComputeConfig, cluster
from pipeline.config.user_paths import user_path
from pipeline.console.extras import install, is_installed
from pipeline.registry.resolve import PREFIX
from pipeline.registry.store import tracking_uri
from pipeline.serving.options import TOKEN, Options
from yolox_core.config import RuntimeName
from yolox_core.cpus import cores
from yolox_core.errors import InputError, on_one_line
from yolox_core.inference.runtime import TITLES, importing


@dataclass(frozen=True)
class Placement:
    """Where a service listens, and what runs it: uvicorn, or Ray Serve where one of the last three asks for it."""

    host: str
    port: int
    workers: int = 1  # processes of uvicorn
    address: str | None = None  # of a Ray cluster
    replicas: int = 1  # of Ray Serve
    ray: bool = False  # Ray Serve on this machine

    def __post_init__(self) -> None:
        for name in ("workers", "replicas"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}: expected a whole number of at least 1, got {getattr(self, name)}.")
        if self.workers > 1 and self.on_ray:
            raise InputError(
                f"--workers {self.workers}: expected none with --ray, --replicas or a cluster's address (--address, "
                "RAY_ADDRESS): Ray Serve has --replicas."
            )

    @property
    def on_ray(self) -> bool:
        """Whether Ray Serve is to run it."""
        return self.ray or self.address is not None or self.replicas > 1

    @property
    def processes(self) -> int:
        """How many have a model each."""
        return max(self.workers, self.replicas)

    def default_threads(self) -> int:
        """CPU cores of a process where nobody says: those of this machine, shared evenly; one on a cluster."""
        return max(1, cores() // self.processes) if self.address is None else 1


def serve(options: Options, at: Placement) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first. InputError before anything is started."""
    if not options.model:
        raise InputError("--model: expected a model, got nothing.")
    if not _is_loopback(at.host) and not os.environ.get(TOKEN):
        print(f"warning: {at.host}: anybody who reaches this port may use the model. Set {TOKEN}.", file=sys.stderr)
    if not os.environ.get(TOKEN, "").isascii():
        raise InputError(f"{TOKEN}: expected ASCII characters, which every client sends alike, got others.")
    options = replace(options, require_token=bool(os.environ.get(TOKEN)))
    if not options.model.startswith(PREFIX):
        options = replace(options, model=str(user_path(options.model).resolve()))
    if at.on_ray:
        _serve_on_ray(options, at)
    else:
        _serve_here(options, at)


def _serve_here(options: Options, at: Placement) -> None:
    with _bound(at) as listener:
        _check_processors(options, at)
        # OpenCV reads it when it is imported: a decoder that reads a header otherwise than we do still stops there
        os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(options.limits.max_pixels)
        from pipeline.serving import uvicorn_server

        def ready(runtime: RuntimeName) -> None:
            _print_ready(options, at, runtime)

        if at.workers == 1:
            uvicorn_server.run(options, listener, ready, _print_stopping)
        else:
            runtime = _check_model(options)
            uvicorn_server.run_workers(options, at.workers, listener, lambda: ready(runtime), _print_stopping)


def _serve_on_ray(options: Options, at: Placement) -> None:
    if not is_installed("ray"):
        raise InputError(
            f"--ray needs Ray Serve, which is not installed. Run: {install('all')}; or serve without --ray."
        )
    if at.address is None:  # elsewhere other ports are free, and other processors there
        _bound(at).close()
        _check_processors(options, at)
    runtime = _check_model(options if at.address is None else replace(options, device="cpu"))
    os.environ["MLFLOW_TRACKING_URI"] = tracking_uri()  # replicas have other folders
    with cluster(ComputeConfig(address=at.address)):
        leave = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # after Ray, which sets handlers of its own
            signal.signal(number, lambda *_: leave.set())
        from pipeline.serving.deployment import deployed  # Ray reads its environment when it is imported

        with deployed(options, at.host, at.port, at.address is not None, leave):
            if not leave.is_set():
                _print_ready(options, at, runtime if at.address is None else None)  # nodes may have others
            leave.wait()
            _print_stopping()


def _check_model(options: Options) -> RuntimeName:
    """What runs the model; InputError where it cannot be loaded, before others start to."""
    from pipeline.serving.model_watcher import check_reference

    return check_reference(options.model, options.runtime, options.device)


def _print_ready(options: Options, at: Placement, runtime: RuntimeName | None) -> None:
    place = f"http://{f'[{at.host}]' if ':' in at.host else at.host}:{at.port}"
    model = options.model if runtime is None else f"{options.model}, {TITLES[runtime]}"
    print(on_one_line(f"{model}: {place} (page), /predict, /docs, /metrics. Ctrl-C stops it."), flush=True)


def _print_stopping() -> None:
    print("stopping: requests under way are answered first", flush=True)


def _check_processors(options: Options, at: Placement) -> None:
    """InputError where this machine has less than was asked for: processes would wait for each other."""
    asked = at.processes * options.threads
    if asked > cores():
        given = (
            f"--workers {at.workers}" if at.workers > 1 else "",
            f"--replicas {at.replicas}" if at.replicas > 1 else "",
            f"--threads {options.threads}" if options.threads != at.default_threads() else "",
        )
        raise InputError(
            f"{' '.join(filter(None, given))}: expected at most {cores()} cores together, got {asked}. Ask for fewer."
        )
    if options.device == "cuda":
        with importing("torch", Path(options.model)):
            import torch

        gpus = torch.cuda.device_count()
        if at.replicas > gpus:
            many = f" --replicas {at.replicas}: expected a GPU for each" if at.replicas > 1 else ": expected a GPU"
            raise InputError(f"--device cuda{many}, got {gpus or 'none'}. Ask for fewer, or name --device cpu.")


def _bound(at: Placement) -> socket.socket:
    """A socket that listens at the address; InputError where somebody else has it.

    Who connects before the model is loaded waits: left unlistened, the port could be taken by another until then.
    """
    if not 1 <= at.port <= 65535:
        raise InputError(f"--port: expected 1 to 65535, got {at.port}.")
    listener = socket.socket(socket.AF_INET6 if ":" in at.host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((at.host, at.port))
        listener.listen()
    except (OSError, UnicodeError) as taken:
        listener.close()
        reason = getattr(taken, "strerror", None) or str(taken)
        raise InputError(
            f"--host {at.host} --port {at.port}: cannot listen on this address ({reason}). Name another port."
        ) from taken
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
