"""Several workers under uvicorn, as the processes they are: one that dies is replaced, and signals are heard."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
import requests

from pipeline.registry.model_cache import VARIABLE
from pipeline.registry.register import CHAMPION, register
from tests.pipeline.cli.commands_project import released
from tests.pipeline.registry.test_register import a_release
from tests.pipeline.serving.test_uvicorn_server import IMAGE, PNG, Served, is_worker, served
from tests.servers import mlflow_server
from tests.waiting import until
from yolox_core.config import ONNX_FILE
from yolox_core.export.onnx import export_onnx

pytestmark = pytest.mark.server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = released(tmp_path / "released")
    export_onnx(made, made / ONNX_FILE)
    return made


def workers(server: Served) -> set[int]:
    return {one.pid for one in psutil.Process(server.process.pid).children() if is_worker(one)}


def test_a_worker_that_dies_while_the_store_is_away_is_replaced_with_what_was_served_last(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {VARIABLE: str(tmp_path / "kept"), "PYTHONUNBUFFERED": "1"}
    monkeypatch.chdir(tmp_path)
    with mlflow_server(tmp_path, empty_store) as store:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.url)
        release = a_release(tmp_path, seed=1)
        export_onnx(release.folder, release.folder / ONNX_FILE)
        register(release)
        served_champion = served(f"models:/yolox-detector@{CHAMPION}", 2, tmp_path / "log", **kept)
        server = served_champion.__enter__()
    try:  # the store is away from here on
        before = workers(server)
        os.kill(min(before), signal.SIGKILL)
        until(lambda: "starts with version 1, the last one known here" in server.log.read_text(), 120)
        until(lambda: len(workers(server)) == 2, 60)
        for _ in range(10):  # each on a connection of its own
            url = f"http://127.0.0.1:{server.port}/predict"
            answered = requests.post(url, data=IMAGE, headers=PNG, timeout=60)
            assert answered.status_code == 200 and answered.json()["model"]["version"] == "1"
        server.process.send_signal(signal.SIGTERM)
        server.ends()
    finally:
        served_champion.__exit__(None, None, None)


def test_signals_are_heard_while_a_worker_is_silent(folder: Path, tmp_path: Path) -> None:
    with served(folder, 2, tmp_path / "log") as server:
        silent = min(workers(server))
        os.kill(silent, signal.SIGSTOP)
        time.sleep(2)  # the parent asks it, twice a second
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping: " in server.log.read_text(), 20)  # a silent worker is given a minute
        os.kill(silent, signal.SIGCONT)
        server.ends()
