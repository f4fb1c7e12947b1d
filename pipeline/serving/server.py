"""A model as a web service, on this machine or a cluster, until SIGINT or SIGTERM.

What can be refused is refused before a cluster is started: the port, the processors, the model itself. deployment.py
is what Ray Serve then runs, app.py what answers.
"""

import ipaddress
import os
import signal
import socket
import sys
import threading
from dataclasses import replace

from pipeline.cluster.ray_cluster import ComputeConfig, cluster
from pipeline.config.user_paths import user_path
from pipeline.registry.resolve import PREFIX
from pipeline.registry.store import tracking_uri
from pipeline.serving.model_watcher import check_reference
from pipeline.serving.options import TOKEN, Options
from yolox_core.errors import InputError
from yolox_core.inference.processor import cores


def serve(options: Options, host: str, port: int, address: str | None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first. InputError before anything is started."""
    if address is None:  # elsewhere other ports are free, and other processors there
        _check_port(host, port)
        _check_processors(options)
    check_reference(options.model, options.runtime, options.device if address is None else "cpu")
    if not _is_loopback(host) and not os.environ.get(TOKEN):
        print(f"warning: {host}: anybody who reaches this port may use the model. Set {TOKEN}.", file=sys.stderr)
    options = replace(options, require_token=bool(os.environ.get(TOKEN)))
    if not options.model.startswith(PREFIX):
        options = _absolute(options)
    os.environ["MLFLOW_TRACKING_URI"] = tracking_uri()  # replicas have other folders
    with cluster(ComputeConfig(address=address)):
        leave = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # after Ray, which sets handlers of its own
            signal.signal(number, lambda *_: leave.set())
        from pipeline.serving.deployment import deployed  # Ray reads its environment when it is imported

        with deployed(options, host, port, address is not None, leave):
            if not leave.is_set():
                place = f"http://{_shown(host)}:{port}"
                print(f"{options.model}: {place} (page), /predict, /docs, /metrics. Ctrl-C stops it.", flush=True)
            leave.wait()
            print("stopping: requests under way are answered first")


def default_threads(replicas: int, address: str | None) -> int:
    """CPU cores of a replica where nobody says: those of this machine, shared evenly; one on a cluster."""
    return max(1, cores() // replicas) if address is None else 1


def _check_processors(options: Options) -> None:
    """InputError where this machine has less than was asked for: Ray would wait for more."""
    asked = options.replicas * options.threads
    if asked > cores():
        raise InputError(
            f"--replicas {options.replicas} --threads {options.threads}: expected at most {cores()} cores together, "
            f"got {asked}. Ask for fewer."
        )
    if options.device == "cuda":
        import torch

        gpus = torch.cuda.device_count()
        if options.replicas > gpus:
            raise InputError(f"--device cuda --replicas {options.replicas}: expected a GPU for each, got {gpus}.")


def _check_port(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError(f"--port: expected 1 to 65535, got {port}.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, UnicodeError) as taken:
        reason = getattr(taken, "strerror", None) or str(taken)
        raise InputError(
            f"--host {host} --port {port}: cannot be listened at ({reason}). Name another port."
        ) from taken


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _absolute(options: Options) -> Options:
    return replace(options, model=str(user_path(options.model).resolve()))
