"""Requests a second, YOLOX-nano at 416 px, 8 clients: `yolox serve` beside a plain FastAPI loop."""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.inference import SIZE, convert
from benchmarks.timing import hardware
from yolox_core.data.image_io import IMAGE_SUFFIXES
from yolox_core.errors import InputError

CLIENTS = 8
BLOCK_S, BLOCKS = 20.0, 3  # of each server in turn: 60 s
UP_WITHIN_S = 180.0
YOLOX = ("-c", "from pipeline.cli.main import main; main()")


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`serving_speedup`: requests a second of ours over the plain loop's; milliseconds at the median and the 99th %."""
    if data is None or weights is None:
        raise InputError("--data and --weights: expected a folder of images and YOLOX-nano's weights, not both given.")
    images = [path.read_bytes() for path in sorted(data.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    with tempfile.TemporaryDirectory() as name:
        released = str(convert(weights, Path(name)))
        ports = {"ours": free_port(), "plain": free_port()}
        commands = {
            "ours": [*YOLOX, "serve", "--model", released, "--port", str(ports["ours"])],
            "plain": ["-m", "benchmarks.plain_server", released, str(ports["plain"])],
        }
        taken: dict[str, list[float]] = {name: [] for name in ports}
        failed = dict.fromkeys(ports, 0)
        with contextlib.ExitStack() as servers:
            for server, words in commands.items():
                servers.enter_context(running([sys.executable, *words], ports[server]))
            for port in ports.values():
                load(port, images, 2.0)  # does not count
            for _ in range(BLOCKS):
                for server, port in ports.items():
                    times, errors = load(port, images, BLOCK_S)
                    taken[server] += times
                    failed[server] += errors
    rows = {server: row(times, failed[server]) for server, times in taken.items()}
    speedup = rows["ours"]["requests_per_second"] / rows["plain"]["requests_per_second"]
    return {"hardware": hardware("cpu"), "data": data.name, "size": SIZE, "serving_speedup": speedup, **rows}


def row(times_s: list[float], errors: int) -> dict[str, float]:
    """Of one server over all its blocks."""
    percent = statistics.quantiles(times_s, n=100)
    return {
        "requests": len(times_s),
        "errors": errors,
        "requests_per_second": len(times_s) / (BLOCK_S * BLOCKS),
        "p50_ms": 1e3 * percent[49],
        "p99_ms": 1e3 * percent[98],
    }


def load(port: int, images: list[bytes], seconds: float) -> tuple[list[float], int]:
    """Seconds of each answered request of CLIENTS that ask one after the other, and how many were refused."""
    times: list[float] = []
    errors: list[int] = []
    until = time.perf_counter() + seconds

    def ask(client: int) -> None:
        with requests.Session() as session:
            at = client
            while time.perf_counter() < until:
                began = time.perf_counter()
                sent = {"image": ("a.jpg", images[at % len(images)])}
                answered = session.post(f"http://127.0.0.1:{port}/predict", files=sent, timeout=60)
                at += CLIENTS
                if answered.status_code == 200:
                    times.append(time.perf_counter() - began)
                else:
                    errors.append(answered.status_code)

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(errors)


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server for the block, from when it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + UP_WITHIN_S
    try:
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{port}/openapi.json", timeout=5).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)}: did not come up")
            time.sleep(0.5)
        yield
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        for left in family:
            with contextlib.suppress(psutil.Error):
                left.kill()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
