"""`yolox serve` beside a plain FastAPI loop (plain_server.py): start, requests a second, memory; a moved champion.

YOLOX-nano at 416 px, 8 clients that ask one after the other. `ours` is ONNX Runtime, as the plain one; `auto` what
`yolox serve` takes when nothing is said and the model was measured here, as the export stage does. All are asked in
turn, so that what else the machine does meets each. The champion is one of a real MLflow server on the loopback
interface.
"""

import contextlib
import dataclasses
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import requests
import torch

from benchmarks.inference import SIZE, convert
from benchmarks.timing import hardware
from pipeline.registry.evidence import Evidence, HeldOut
from pipeline.registry.register import CHAMPION, DataSource, Release, register
from pipeline.registry.run_log import RunSpec
from pipeline.registry.store import connect
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.fastest import VARIABLE as RUNTIMES
from yolox_core.inference.runtime_timing import measure_exported
from yolox_core.model.weights import read_weights
from yolox_core.model.weights import release as write_release

CLIENTS = 8
BLOCK_S, BLOCKS = 5.0, 12  # of each server in turn: 60 s; short, so that what disturbs one meets the others, too
ROUNDS = 5  # of what is timed from its start
MOVED_AFTER_S, GOES_ON_S = 5.0, 20.0
UP_WITHIN_S = 180.0
MIB = 2**20
PLAIN = Path(__file__).with_name("plain_server.py")
YOLOX = (sys.executable, "-c", "from pipeline.cli.main import main; main()", "serve")
NAME = "yolox-detector"
FLOOR = Path(__file__).with_name("floor.py")
WEB = "import fastapi, uvicorn"
LOOKUP = f"import mlflow; mlflow.MlflowClient().get_model_version_by_alias('{NAME}', '{CHAMPION}')"


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`serving_speedup`: requests a second of ours over the plain loop's; the rest by server. See README.md there."""
    if data is None or weights is None:
        raise InputError("--data and --weights: expected a folder of images and YOLOX-nano's weights, not both given.")
    images = [path.read_bytes() for path in sorted(data.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[RUNTIMES] = str(folder / "runtimes")
        released = convert(weights, folder)
        measure_exported(released)
        figures = side_by_side(released, images)
        figures["ready"] = readiness(released, images)
        figures["champion"] = moved_champion(released, folder, images)
    return {"hardware": hardware("cpu"), "data": data.name, "size": SIZE, **figures}


def commands(released: Path) -> dict[str, list[str]]:
    """How each server is started, but for its port."""
    return {
        "ours": [*YOLOX, "--model", str(released), "--runtime", "onnx", "--port"],
        "plain": [sys.executable, str(PLAIN), str(released / "model.onnx")],
        "auto": [*YOLOX, "--model", str(released), "--port"],
    }


def side_by_side(released: Path, images: list[bytes]) -> dict[str, Any]:
    """The servers under load, in alternating blocks; ratios are medians over the pairs of neighbouring blocks."""
    taken: dict[str, list[list[float]]] = {name: [] for name in commands(released)}
    failed = dict.fromkeys(taken, 0)
    with contextlib.ExitStack() as servers:
        running = {name: servers.enter_context(served(words)) for name, words in commands(released).items()}
        for server in running.values():
            load(server.port, images, 2.0)  # does not count
        began = {name: server.cpu_s() for name, server in running.items()}
        for _ in range(BLOCKS):
            for name, server in running.items():
                times, errors = load(server.port, images, BLOCK_S)
                taken[name].append(times)
                failed[name] += errors
        runtime = requests.get(f"http://127.0.0.1:{running['auto'].port}/model", timeout=60).json()["runtime"]
        peaks = {name: server.peak_mib() for name, server in running.items()}
        spent = {name: server.cpu_s() - began[name] for name, server in running.items()}
    rows = {name: row([time_s for block in blocks for time_s in block], failed[name]) for name, blocks in taken.items()}
    for name, figures in rows.items():
        figures |= {"cpu_ms_per_request": 1e3 * spent[name] / figures["requests"], "peak_mib": peaks[name]}
    return {
        "serving_speedup": ratio(taken, "ours", len),
        "auto_speedup": ratio(taken, "auto", len),
        "auto_runtime": runtime,
        "p99_ratio": ratio(taken, "ours", p99_s),
        "memory_ratio": peaks["ours"] / peaks["plain"],
        "ratio_of_blocks": [len(a) / len(b) for a, b in zip(taken["ours"], taken["plain"], strict=True)],
        "load_average": os.getloadavg()[0],
        **rows,
    }


def ratio(taken: dict[str, list[list[float]]], name: str, figure: Callable[[list[float]], float]) -> float:
    """The median over the blocks of a figure of a server over that of the plain one."""
    return statistics.median(figure(a) / figure(b) for a, b in zip(taken[name], taken["plain"], strict=True))


def p99_s(times_s: list[float]) -> float:
    """The time within which 99 of 100 requests were answered."""
    return statistics.quantiles(times_s, n=100)[98]


def row(times_s: Sequence[float], errors: int) -> dict[str, float]:
    """Of one server over all its blocks."""
    percent = statistics.quantiles(times_s, n=100)
    return {
        "requests": len(times_s),
        "errors": errors,
        "requests_per_second": len(times_s) / (BLOCK_S * BLOCKS),
        "p50_ms": 1e3 * percent[49],
        "p99_ms": 1e3 * percent[98],
    }


def readiness(released: Path, images: list[bytes]) -> dict[str, float]:
    """Medians of ROUNDS, in turn: seconds from the command to the first answer, and what no server can do without."""
    image = released.with_name("image.jpg")
    image.write_bytes(images[0])
    taken: dict[str, list[float]] = {f"{name}_s": [] for name in ("floor", "web", *commands(released))}
    for _ in range(ROUNDS):
        taken["floor_s"].append(script_s(str(FLOOR), str(released / "model.onnx"), str(image)))
        taken["web_s"].append(script_s("-c", WEB))
        for name, words in commands(released).items():
            with served(words) as server:
                taken[f"{name}_s"].append(server.ready_s)
                load(server.port, images, 0.1)
    return {name: statistics.median(times) for name, times in taken.items()}


def moved_champion(released: Path, folder: Path, images: list[bytes]) -> dict[str, Any]:
    """`yolox serve --model models:/...@champion`: ready, memory, and what clients see while the champion is moved."""
    with mlflow_server(folder) as uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
        try:
            second = register(a_release(changed(released, folder / "changed"), folder)).version
            first = register(a_release(released, folder)).version
            client = connect(uri)
            client.set_registered_model_alias(NAME, CHAMPION, first)
            words = [*YOLOX, "--model", f"models:/{NAME}@{CHAMPION}", "--watch-s", "1", "--port"]
            lookups, ready = [], []
            for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
                lookups.append(script_s("-c", LOOKUP))
                with served(words) as server:
                    ready.append(server.ready_s)
            with served(words) as server:
                move = threading.Timer(MOVED_AFTER_S, client.set_registered_model_alias, (NAME, CHAMPION, second))
                move.start()
                versions: set[str] = set()
                times, errors = load(server.port, images, GOES_ON_S, versions)
                move.join()
                peak = server.peak_mib()
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
    return {
        "lookup_s": statistics.median(lookups),
        "ready_s": statistics.median(ready),
        "requests": len(times),
        "errors": errors,
        "versions_answered": len(versions),
        "peak_mib": peak,
    }


def changed(released: Path, folder: Path) -> Path:
    """Another version of the same size: every weight a little off."""
    weights = read_weights(released)
    model = weights.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.0001)
    write_release(folder, model, weights.spec)
    export_onnx(folder, folder / "model.onnx")
    return folder


def a_release(released: Path, folder: Path) -> Release:
    """As the register stage would send it, without a training."""
    categories = tuple(Category(key, name) for key, name in enumerate(read_weights(released).spec.class_names))
    return Release(
        folder=released,
        name=NAME,
        run=RunSpec(folder / "runs" / released.name, NAME, released.name, {}, {}),
        test_metrics={},
        evidence=Evidence(HeldOut(DatasetRecords(Path(), categories, []), {}), []),
        cost={},
        data=DataSource("none", "none", "0" * 64),
        tags={},
    )


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLflow's own server with an sqlite file, for the block."""
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    words += ["--artifacts-destination", str(folder / "kept")]
    with served([*words, "--port"]) as server:
        yield f"http://127.0.0.1:{server.port}"


def script_s(*words: str) -> float:
    """Seconds of a Python that does this and no more."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def load(port: int, images: list[bytes], seconds: float, versions: set[str] | None = None) -> tuple[list[float], int]:
    """Seconds of each answered request of CLIENTS that ask one after the other, and how many were refused.

    The versions that answered are added to `versions`.
    """
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
                    if versions is not None:
                        versions.add(answered.json()["model"]["version"])
                else:
                    errors.append(answered.status_code)

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(errors)


@dataclasses.dataclass(frozen=True)
class Server:
    """A process that answers at a port."""

    process: "subprocess.Popen[bytes]"
    port: int
    ready_s: float  # from the command to the first answer

    def peak_mib(self) -> float:
        """The most memory that its processes have held: the sum of each one's peak."""
        return sum(peak_bytes(one.pid) for one in self._tree()) / MIB

    def cpu_s(self) -> float:
        """Seconds of a core that its processes have used so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._tree())

    def _tree(self) -> list[psutil.Process]:
        command = psutil.Process(self.process.pid)
        return [command, *command.children(recursive=True)]


def peak_bytes(pid: int) -> int:
    """VmHWM: the largest resident set so far (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


@contextlib.contextmanager
def served(command: list[str]) -> Iterator[Server]:
    """A server for the block, from when it answers; its port is put behind the command."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.perf_counter() - began > UP_WITHIN_S:
                raise RuntimeError(f"{' '.join(command)}: did not come up")
            time.sleep(0.01)
        yield Server(process, port, time.perf_counter() - began)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        for left in family:
            with contextlib.suppress(psutil.Error):
                left.kill()


def answers(url: str) -> bool:
    """Whether the server is up; "not found" is an answer, too."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=UP_WITHIN_S).status_code in (200, 404)
    return False


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
