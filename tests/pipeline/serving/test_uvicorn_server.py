"""`yolox serve` under uvicorn as a process of its own: ready, numbers of all workers, and an end that loses nobody."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import requests

from pipeline.serving import log, uvicorn_server
from pipeline.serving.app import Service
from pipeline.serving.model_watcher import Model
from pipeline.serving.options import SHUTDOWN_TIMEOUT_S
from pipeline.serving.pool import Pool
from pipeline.serving.prometheus import PrometheusMeter
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import released
from tests.servers import free_port, running
from tests.waiting import until
from yolox_core.config import ONNX_FILE
from yolox_core.cpus import cores
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor

pytestmark = pytest.mark.server
YOLOX = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
UP_WITHIN_S = 120.0
IMAGE = cv2.imencode(".png", np.random.default_rng(5).integers(0, 256, (50, 80, 3), dtype=np.uint8))[1].tobytes()
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = released(tmp_path_factory.mktemp("served") / "released")
    export_onnx(made, made / ONNX_FILE)
    return made


@dataclass(frozen=True)
class Served:
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def get(self, path: str) -> str:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=30).text

    def ends(self) -> None:
        """By itself, in time, with nothing to complain about."""
        assert self.process.wait(SHUTDOWN_TIMEOUT_S + 30) == 0, self.log.read_text()
        assert (
            self.log.read_text().splitlines()[-1].startswith("stopping: ") and "Traceback" not in self.log.read_text()
        )


@contextmanager
def served(
    model: Path | str, workers: int, log: Path, runtime: str = "onnx", options: Sequence[str] = (), **variables: str
) -> Iterator[Served]:
    port = free_port()
    words = [*YOLOX, "serve", "--model", str(model), "--runtime", runtime, "--port", str(port), "--threads", "1"]
    words += options
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with running([*words, "--workers", str(workers)], log, cwd=log.parent, env=environment) as process:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return "Ctrl-C stops it" in log.read_text()

        until(up, UP_WITHIN_S)
        yield Served(process, port, log)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scrape_tells_of_all_workers(folder: Path, workers: int, tmp_path: Path) -> None:
    with served(folder, workers, tmp_path / "log") as server:
        url = f"http://127.0.0.1:{server.port}/predict"
        for _ in range(10):  # each on a connection of its own, which either worker may take
            assert requests.post(url, data=IMAGE, headers=PNG, timeout=30).status_code == 200
        assert requests.post(url, data=b"", headers=PNG, timeout=30).status_code == 400
        for _ in range(5):
            told = server.get("/metrics").splitlines()
            assert 'yolox_serve_requests_total{status="200"} 10.0' in told
            assert 'yolox_serve_requests_total{status="400"} 1.0' in told
            assert "yolox_serve_request_seconds_count 11.0" in told
            assert 'yolox_serve_images_total{version=""} 10.0' in told
            assert 'yolox_serve_part_seconds_count{part="network"} 10.0' in told
        server.process.send_signal(signal.SIGINT)
        server.ends()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_under_way_is_answered_and_no_further_one_taken(folder: Path, workers: int, tmp_path: Path) -> None:
    with served(folder, workers, tmp_path / "log") as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        asking.putrequest("POST", "/predict")
        asking.putheader("Content-Type", "image/png")
        asking.putheader("Content-Length", str(len(IMAGE)))
        asking.endheaders(IMAGE[:100])
        assert requests.post(f"http://127.0.0.1:{server.port}/predict", data=IMAGE, headers=PNG, timeout=30).ok
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(server.port), 30)
        assert server.process.poll() is None
        asking.send(IMAGE[100:])
        answered = asking.getresponse()
        assert answered.status == 200 and b"detections" in answered.read()
        server.ends()
        _, left = psutil.wait_procs(family, timeout=10)
        assert not left


def test_memory_is_bounded_by_the_pixels_under_way(folder: Path, tmp_path: Path) -> None:
    """Of small files with many pixels; each thread would take one."""
    gray = np.full((5000, 8000, 3), 80, np.uint8)
    body = cv2.imencode(".png", gray, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    del gray
    options = ("--threads", str(cores()), "--total-megapixels", "50")

    with served(folder, 1, tmp_path / "log", options=options) as server:

        def peak_mb() -> float:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6

        answers: list[requests.Response] = []

        def ask() -> None:
            url = f"http://127.0.0.1:{server.port}/predict"
            answers.append(requests.post(url, data=body, headers=PNG, timeout=120))

        before = peak_mb()
        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 503)
        assert peak_mb() - before < 40 * 3 * 2 + 60  # decoded, once more while it is decoded, and the requests
        assert requests.post(f"http://127.0.0.1:{server.port}/predict", data=IMAGE, headers=PNG, timeout=30).ok
        head = requests.head(f"http://127.0.0.1:{server.port}/ready", timeout=30)
        assert head.status_code == 200 and head.text == ""
        server.process.send_signal(signal.SIGINT)
        server.ends()


def is_refused(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
    except requests.ConnectionError:
        return True
    return False


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def test_a_worker_that_dies_is_replaced(folder: Path, tmp_path: Path) -> None:
    with served(folder, 2, tmp_path / "log") as server:

        def workers() -> set[int]:
            return {one.pid for one in psutil.Process(server.process.pid).children() if is_worker(one)}

        before = workers()
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(workers() - before) == 1, 60)
        server.process.send_signal(signal.SIGTERM)
        server.ends()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Options('nowhere.onnx')", "nowhere.onnx: no such model"),
        ("Options('broken.onnx')", "RuntimeError: half a library"),
    ],
)
def test_a_worker_that_cannot_start_ends_all_with_its_reason(line: str, reason: str, tmp_path: Path) -> None:
    """As where the model goes between the check and a worker's start; or where a library fails in the worker alone."""
    code = (
        "import os, sys, socket, pipeline.serving.uvicorn_server as server\n"
        "from pipeline.console.exit_codes import refusals\n"
        "from pipeline.serving.options import Options\n"
        "if __name__ == '__main__':\n"
        "    with refusals(), socket.create_server(('127.0.0.1', 0)) as listener:\n"
        f"        server.run_workers({line}, 2, listener, print, print)\n"
    )
    (tmp_path / "start.py").write_text(code)
    (tmp_path / "broken.onnx").touch()
    (tmp_path / "onnxruntime.py").write_text("raise RuntimeError('half a library')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    words = [sys.executable, "start.py"]
    ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=UP_WITHIN_S)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ("Traceback" in ended.stderr) == ("RuntimeError" in reason)
    assert ended.stderr.splitlines()[-1].startswith("error: a worker could not start")


def test_an_idle_server_measures_and_takes_the_fastest_runtime(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "runtimes"
    with served(folder, 1, tmp_path / "log", "auto", YOLOX_RUNTIMES=str(kept)) as server:

        def runtime() -> str:
            answered: str = json.loads(server.get("/model"))["runtime"]
            return answered

        assert runtime() == "onnx"
        until(lambda: list(kept.glob("*.json")), UP_WITHIN_S)
        found = json.loads(next(kept.glob("*.json")).read_text())
        assert set(found["ms_an_image"]) == {"onnx", "openvino"}
        until(lambda: runtime() == found["fastest"], 60)
        server.process.send_signal(signal.SIGINT)
        server.ends()
        assert ("switched to OpenVINO" in server.log.read_text()) == (found["fastest"] == "openvino")


@dataclass
class Watched:
    """Of a ModelWatcher what `measure_when_idle` asks for."""

    model: Model
    failing: bool = False
    measured: list[Model] = field(default_factory=list)

    @property
    def is_unmeasured(self) -> bool:
        return self.model not in self.measured

    def take_fastest(self) -> bool:
        self.measured.append(self.model)
        if self.failing:
            raise RuntimeError("cannot compile")
        return True


def test_each_model_is_measured_once_nobody_has_asked_for_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uvicorn_server, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(log.logger, "propagate", True)
    monkeypatch.setattr(log.logger, "handlers", [])  # a replica in this process may have left pytest's own: lines twice
    caplog.set_level("INFO", "yolox.serve")
    first, second, third = (Model(Predictor.load(folder, runtime="onnx"), "m", version, 0.0) for version in "123")
    watcher: Any = Watched(first)
    service = Service(watcher, Pool(1).detect, PrometheusMeter(), waiting=1)
    service.last_request -= 100
    leave = threading.Event()
    thread = threading.Thread(target=uvicorn_server.measure_when_idle, args=(service, leave))
    thread.start()
    try:
        assert service.idle_s == 0 and not thread.join(0.2) and not watcher.measured, "a request is at work"
        service.last_request = time.monotonic()
        service.waiting = 0
        assert not thread.join(0.2) and not watcher.measured, "one was a moment ago"
        service.last_request -= 100
        until(lambda: caplog.text.count("switched to ONNX Runtime: measured faster here") == 1, 30)
        assert watcher.measured == [first]
        watcher.failing, watcher.model = True, second
        until(lambda: "the fastest runtime cannot be measured: RuntimeError: cannot compile" in caplog.text, 30)
        watcher.failing, watcher.model = False, third
        until(lambda: caplog.text.count("switched to ONNX Runtime: measured faster here") == 2, 30)
        assert watcher.measured == [first, second, third]
    finally:
        leave.set()
        thread.join()


def test_a_second_interrupt_ends_the_loading_of_a_model(folder: Path) -> None:
    """The first one waits for it."""
    code = (
        "import os, signal, pipeline.serving.uvicorn_server as server\n"
        "stop = server._Stop()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert stop.wanted\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout == "interrupted\n"
