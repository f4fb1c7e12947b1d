"""From a command to its first result: seconds and peak memory, each beside the least that its work takes (Linux).

    python -m benchmarks start --data ../shared/datasets/raccoon [--reference CHECKOUT]

`make repro` comes first, uncounted. Every command is a process of its own. The first round does not count: it compiles
and reads files. Then the ways take turns, and what is given is the median over the rounds.
"""

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.timing import machine
from pipeline.config import paths
from yolox_core.errors import InputError

ROOT = Path(__file__).parents[1]
ROUNDS = 5
POLL_S = 0.002
UP_WITHIN_S = 120.0
YOLOX = (sys.executable, "-P", "-m", "pipeline.cli")
LOOKUP = """
import sys, mlflow
print(mlflow.MlflowClient(sys.argv[1]).get_model_version_by_alias(sys.argv[2], sys.argv[3]).version)
"""
REGISTER = """
from pipeline.config.settings import load_settings
from pipeline.registry.register import register
from pipeline.registry.release import release
register(release(load_settings()))
"""
# as in the Makefile; what belongs to one place or user stays out of the figures
ENVIRONMENT = {
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
UNSET = ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass(frozen=True)
class Run:
    """One process: how long it lived, and the most memory that it held itself."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Way:
    """A command to measure. `before` is done first and not timed; `measure` may time something else than the end."""

    words: Sequence[str]
    folder: Path = ROOT
    more: Mapping[str, str] = field(default_factory=dict)  # of the environment
    before: Callable[[], object] = lambda: None
    codes: tuple[int, ...] = (0,)
    first_step: bool = False  # of a training, on a terminal; otherwise the end


@dataclass(frozen=True)
class Limit:
    """A way is to take at most `times` of what `of` takes together, and `plus_s` more."""

    way: str
    of: tuple[str, ...]
    times: float = 1.0
    plus_s: float = 0.0
    memory_times: float | None = None


LIMITS = (
    *(
        Limit(way, ("floor",), 2.5, memory_times=2.0)
        for way in ("predict .onnx", "predict folder", "predict folder --save-dir", "predict folder --json")
    ),
    Limit("predict models:/ sqlite", ("look-up sqlite", "floor"), plus_s=1.0),
    Limit("predict models:/ server", ("look-up server", "floor"), plus_s=1.0),
    Limit("yolox --help", ("import typer",), 2.0),
    Limit("doctor first", ("floor",), 8.0),
    Limit("doctor again", ("floor",), 4.0),
    Limit("make repro", ("dvc status",), 2.0, 2.0),
)


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`ways`: medians of each. `limits`: what each is held to, and whether it is within. `reference`: a checkout of an
    earlier commit of this repository, whose `yolox train` and `yolox predict` are measured beside."""
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    image = next(path for path in sorted(data.rglob("*")) if path.suffix.lower() in (".jpg", ".png"))
    subprocess.run(["make", "repro"], cwd=ROOT, env=environment({}), check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as servers:
        found = measure(all_ways(Path(name), image.resolve(), data.resolve(), reference, servers))
    rows = {name: row(runs) for name, runs in found.items()}
    return {
        "hardware": machine(),
        "rounds": ROUNDS,
        "image": image.name,
        "ways": rows,
        "limits": [verdict(limit, found) for limit in LIMITS],
    }


def all_ways(
    folder: Path, image: Path, data: Path, reference: Path | None, servers: contextlib.ExitStack
) -> dict[str, Way]:
    """Every way by its name, in the order of a round."""
    onnx, released = str(paths.RELEASED / "model.onnx"), str(paths.RELEASED)
    predict = (*YOLOX, "predict", str(image), "--model")
    project = beside(folder / "project")
    server = servers.enter_context(mlflow_server(folder / "mlflow", project))
    store = f"sqlite:///{ROOT / 'mlflow.db'}"
    registration = json.loads((ROOT / paths.REGISTRATION).read_text(encoding="utf-8"))
    named = registration["name"], registration["alias"]
    registered = f"models:/{named[0]}@{named[1]}"
    scans, drawn = folder / "scans.sqlite", folder / "drawn"
    doctor = (*YOLOX, "doctor", str(data))
    ways = {
        "floor": Way((sys.executable, "benchmarks/floor.py", onnx, str(image))),
        "predict .onnx": Way((*predict, onnx)),
        "predict folder": Way((*predict, released)),
        "predict folder --save-dir": Way((*predict, released, "--save-dir", str(drawn)), before=remover(drawn)),
        "predict folder --json": Way((*predict, released, "--json", str(folder / "found.json"))),
        "look-up sqlite": Way((sys.executable, "-c", LOOKUP, store, *named)),
        "predict models:/ sqlite": Way((*predict, registered)),
        "look-up server": Way((sys.executable, "-c", LOOKUP, server, *named)),
        "predict models:/ server": Way((*predict, registered), more={"MLFLOW_TRACKING_URI": server}),
        "import typer": Way((sys.executable, "-c", "import typer")),
        "yolox --help": Way((*YOLOX, "--help")),
        "doctor first": Way(doctor, more={"YOLOX_SEEN": str(scans)}, before=remover(scans), codes=(0, 1)),
        "doctor again": Way(doctor, more={"YOLOX_SEEN": str(scans)}, codes=(0, 1)),
        "dvc status": Way((str(Path(sys.executable).with_name("dvc")), "status", "--quiet"), codes=(0, 1)),
        "make repro": Way(("make", "repro")),
        "train to its first step": Way((*YOLOX, "train", "--fresh"), project, first_step=True),
    }
    if reference is not None:
        old = {"PYTHONPATH": str(reference.resolve())}
        ways |= {
            "before: predict .onnx": Way((*predict, str(ROOT / onnx)), more=old),
            "before: predict folder": Way((*predict, str(ROOT / released)), more=old),
            "before: yolox --help": Way((*YOLOX, "--help"), more=old),
            "before: train to its first step": Way((*YOLOX, "train", "--fresh"), project, old, first_step=True),
        }
    return ways


def beside(folder: Path) -> Path:
    """A folder with this project's data, reports and models, where training again and registering leave the original
    alone."""
    folder.mkdir(parents=True)
    (folder / "data").symlink_to(ROOT / "data")  # only read
    for name in ("models", "reports"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@contextlib.contextmanager
def mlflow_server(folder: Path, project: Path) -> Iterator[str]:
    """The address of an MLflow server on the loopback interface that knows `project`'s model."""
    folder.mkdir()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    words = [mlflow, "server", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    words += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, env=environment({}), start_new_session=True)
    try:
        wait_for(f"{address}/health", server)
        variables = environment({"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT)})
        subprocess.run([sys.executable, "-c", REGISTER], cwd=project, env=variables, check=True, stdout=sys.stderr)
        yield address
    finally:
        end(server)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    """Until it answers."""
    deadline = time.monotonic() + UP_WITHIN_S
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{address}: the server did not come up")
        time.sleep(0.2)


def measure(ways: Mapping[str, Way]) -> dict[str, list[Run]]:
    """All ways in turn; the first round does not count."""
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            way.before()
            result = (until_first_step if way.first_step else until_the_end)(way)
            print(f"round {turn}: {name}: {result.seconds:.2f} s, {result.peak_mib:.0f} MiB", file=sys.stderr)
            if turn:
                found[name].append(result)
    return found


def until_the_end(way: Way) -> Run:
    """How long the command takes. Memory is VmHWM: getrusage's begins with what the parent held."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(way.words, cwd=way.folder, env=environment(way.more), stdout=said, stderr=said)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, held_mib(process.pid))
            time.sleep(POLL_S)
        taken = time.perf_counter() - began
        if process.returncode not in way.codes:
            said.seek(0)
            raise RuntimeError(f"{' '.join(way.words)}: {said.read()[-2000:].decode(errors='replace')}")
    return Run(taken, peak)


def until_first_step(way: Way) -> Run:
    """How long until a training's bar on a terminal shows its first images a second; then it is ended."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(
        way.words, cwd=way.folder, env=environment(way.more), stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown, peak = b"", 0.0
    try:
        while b"images/s" not in shown:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(way.words)}: {shown[-2000:].decode(errors='replace')}")
            if select.select([ours], [], [], POLL_S)[0]:
                shown += os.read(ours, 1 << 16)
            peak = max(peak, held_mib(process.pid))
        return Run(time.perf_counter() - began, peak)
    finally:
        end(process)
        os.close(ours)


def held_mib(pid: int) -> float:
    """The most that the process has held up to now; 0 where it has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def end(process: "subprocess.Popen[bytes]") -> None:
    """With all that it started; Ray's processes end by themselves when their driver has gone, and are waited for."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, left = psutil.wait_procs(family, timeout=20)
    for child in left:
        with contextlib.suppress(psutil.Error):
            child.kill()


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """What the commands run in: this checkout's code, compiled files kept."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, **ENVIRONMENT, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **more}


def remover(path: Path) -> Callable[[], object]:
    """A call that removes a file or folder, if it is there."""

    def remove() -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)

    return remove


def row(runs: Sequence[Run]) -> dict[str, float]:
    """Medians and spread."""
    seconds = sorted(run.seconds for run in runs)
    return {
        "seconds": round(statistics.median(seconds), 3),
        "lowest_s": round(seconds[0], 3),
        "highest_s": round(seconds[-1], 3),
        "peak_mib": round(statistics.median(run.peak_mib for run in runs), 1),
    }


def verdict(limit: Limit, found: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Round by round what the way took beside its limit; the medians of both fractions."""

    def allowed(turn: int) -> float:
        return limit.times * sum(found[name][turn].seconds for name in limit.of) + limit.plus_s

    used = statistics.median(run.seconds / allowed(turn) for turn, run in enumerate(found[limit.way]))
    sum_s = [sum(found[name][turn].seconds for name in limit.of) for turn in range(ROUNDS)]
    row: dict[str, Any] = {
        "way": limit.way,
        "limit": f"{limit.times:g} x ({' + '.join(limit.of)})" + (f" + {limit.plus_s:g} s" if limit.plus_s else ""),
        "times": round(statistics.median(run.seconds / s for run, s in zip(found[limit.way], sum_s, strict=True)), 2),
        "fraction_of_limit": round(used, 2),
        "within": used <= 1,
    }
    if limit.memory_times is not None:
        least = statistics.median(run.peak_mib for run in found[limit.of[0]])
        row["memory_times"] = round(statistics.median(run.peak_mib for run in found[limit.way]) / least, 2)
        row["memory_within"] = row["memory_times"] <= limit.memory_times
    return row
