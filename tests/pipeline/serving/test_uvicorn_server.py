"""`yolox serve` under uvicorn as a process of its own: ready, numbers of all workers, and an end that loses nobody."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import requests

from pipeline.serving.options import LEAVE_WITHIN_S
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import released
from tests.servers import free_port, running
from tests.waiting import until
from yolox_core.config import ONNX_FILE
from yolox_core.export.onnx import export_onnx

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
        assert self.process.wait(LEAVE_WITHIN_S + 30) == 0, self.log.read_text()
        assert (
            self.log.read_text().splitlines()[-1].startswith("stopping: ") and "Traceback" not in self.log.read_text()
        )


@contextmanager
def served(folder: Path, workers: int, log: Path) -> Iterator[Served]:
    port = free_port()
    words = [*YOLOX, "serve", "--model", str(folder), "--runtime", "onnx", "--port", str(port), "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with running([*words, "--workers", str(workers)], log, cwd=folder, env=environment) as process:

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


def test_a_worker_that_cannot_start_ends_all_with_its_reason(folder: Path, tmp_path: Path) -> None:
    """As where the model goes between the check and a worker's start."""
    code = (
        "import os, sys, socket, pipeline.serving.uvicorn_server as server\n"
        "from pipeline.console.exit_codes import refusals\n"
        "from pipeline.serving.options import Options\n"
        "if __name__ == '__main__':\n"
        "    with refusals(), socket.create_server(('127.0.0.1', 0)) as listener:\n"
        "        server.run_workers(Options('nowhere.onnx'), 2, listener, print, print)\n"
    )
    (tmp_path / "start.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "start.py"]
    ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=UP_WITHIN_S)
    assert ended.returncode == 2
    assert "nowhere.onnx: no such model" in ended.stderr and "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: a worker could not start")


def test_neither_ray_nor_a_training_library_is_loaded() -> None:
    code = (
        "import sys, pipeline.serving.server, pipeline.serving.uvicorn_server\n"
        "print(sorted({'ray', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"
