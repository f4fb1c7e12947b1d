"""`yolox serve` as a process of its own, after a finished `dvc repro`: boxes, page, load, another champion, the end.

The same by uvicorn and by Ray Serve.
"""

import base64
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
import torch

from pipeline.cluster.ray_paths import folder_of_sockets
from pipeline.config.settings import load_settings
from pipeline.registry.register import CHAMPION, Release, register
from pipeline.registry.release import release as stage_release
from pipeline.registry.store import connect, tracking_uri
from tests.browser import chromium, grave_findings
from tests.integration.conftest import Finished
from tests.integration.project import YOLOX, Project
from tests.servers import free_port
from tests.waiting import until
from yolox_core.export.onnx import export_onnx
from yolox_core.model.weights import read_weights, release

pytestmark = [pytest.mark.ray, pytest.mark.long]
NAME = "yolox-detector"
UP_WITHIN_S, GONE_WITHIN_S = 240.0, 90.0
CLIENTS = 4


@dataclass
class Server:
    """A running `yolox serve`."""

    project: Project
    url: str
    process: "subprocess.Popen[str]"
    images: list[Path]
    log: Path
    is_on_ray: bool
    started: float = field(default_factory=time.time)

    def logged(self) -> str:
        """What the service has logged: its own output, or Ray's logs of the replicas."""
        if not self.is_on_ray:
            return self.log.read_text()
        logs = folder_of_sockets().glob("ray-*/*/session_*/logs/serve/replica_*.log")
        return "".join(log.read_text() for log in logs if log.stat().st_mtime > self.started)

    def predict(self, image: Path, **query: object) -> requests.Response:
        with image.open("rb") as file:
            return requests.post(f"{self.url}/predict", files={"image": file}, params=query, timeout=60)


@pytest.fixture(scope="module", params=["uvicorn", "ray"])
def server(
    request: pytest.FixtureRequest, finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Of a copy of the finished project; told to stop at the end, which it must do by itself."""
    project = finished.project.copy(tmp_path_factory.mktemp("served") / "project")
    port = free_port()
    words = ["serve", "--model", f"models:/{NAME}@{CHAMPION}", "--port", str(port), "--watch-s", "0.5"]
    words += ["--ray"] if request.param == "ray" else []
    words += ["--runtime", "torch"]  # as the others: this briefly trained model blows rounding up
    log = project.root / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*YOLOX, *words],
            cwd=project.root,
            env=project.environment(MLFLOW_TRACKING_URI=f"sqlite:///{project.root / 'mlflow.db'}"),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    images = sorted((project.root / "data/raw/images").iterdir())
    running = Server(project, f"http://127.0.0.1:{port}", process, images, log, request.param == "ray")

    def up() -> bool:
        assert process.poll() is None, log.read_text()
        return "Ctrl-C stops it" in log.read_text()

    try:
        until(up, UP_WITHIN_S, every_s=0.5)
        yield running
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C on a terminal
        assert process.wait(GONE_WITHIN_S) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        _, left = psutil.wait_procs(family, timeout=GONE_WITHIN_S)
        assert not left
    finally:
        process.kill()


def assert_same_boxes(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    """The same, whatever the order of those whose scores tie within the runtimes' rounding."""
    assert len(first) == len(second)
    left = list(first)
    for one in second:
        same = [
            other
            for other in left
            if other["category_name"] == one["category_name"]
            and np.allclose(other["bbox"], one["bbox"], atol=0.01, rtol=0)
            and abs(other["score"] - one["score"]) < 1e-4
        ]
        assert same, f"{one} is nowhere in the other answer"
        left.remove(same[0])


def test_boxes_are_those_of_yolox_predict_and_of_mlflow_models_serve(server: Server, tmp_path: Path) -> None:
    image, port, root = server.images[0], free_port(), server.project.root
    environment = server.project.environment(MLFLOW_TRACKING_URI=f"sqlite:///{root / 'mlflow.db'}")
    model = f"models:/{NAME}@{CHAMPION}"
    found = tmp_path / "found.json"
    words = [*YOLOX, "predict", str(image), "--model", model, "--conf", "0.1", "--json", str(found)]
    subprocess.run(words, cwd=root, env=environment, check=True, capture_output=True)
    expected = json.loads(found.read_text())
    assert expected
    answered = server.predict(image, confidence=0.1).json()
    assert_same_boxes(answered["detections"], expected)
    assert answered["model"] == {"name": NAME, "version": "1"}

    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    with (tmp_path / "mlflow.log").open("w") as log:
        served = subprocess.Popen([*mlflow, "--port", str(port)], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: is_up(f"http://127.0.0.1:{port}/ping"), UP_WITHIN_S, every_s=0.5)
        rows = [[base64.b64encode(image.read_bytes()).decode("ascii")]]
        body = {"dataframe_split": {"columns": ["image"], "data": rows}, "params": {"confidence": 0.1}}
        (other,) = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60).json()["predictions"]
        assert_same_boxes(other, expected)
    finally:
        family = [psutil.Process(served.pid), *psutil.Process(served.pid).children(recursive=True)]
        for process in family:
            process.terminate()
        psutil.wait_procs(family, timeout=20)


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_page_shows_the_boxes_to_eyes_keyboards_and_screen_readers(server: Server) -> None:
    image = server.images[1]
    expected = server.predict(image, confidence=0.05).json()["detections"]
    with chromium() as browser:
        for scheme, width in (("light", 1200), ("dark", 360)):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            problems: list[str] = []
            page.on("console", lambda message, told=problems: told.append(message.text))
            page.goto(server.url)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == "file"
            page.set_input_files("#file", image)
            page.wait_for_selector("#results:not([hidden])")
            page.locator("#threshold").focus()
            page.keyboard.press("Home")  # the lowest score
            assert page.locator("#rows tr").count() == page.locator("#boxes g").count() == len(expected) > 0
            first = page.locator("#rows tr").first.inner_text()
            assert expected[0]["category_name"] in first and f"{expected[0]['score']:.2f}" in first
            assert "version 1" in page.inner_text("#caption")
            assert grave_findings(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.locator("#classes input").first.focus()
            page.keyboard.press("Space")
            hidden = page.locator("#classes label").first.inner_text().strip()
            kept = [one for one in expected if one["category_name"] != hidden]
            assert page.locator("#boxes g").count() == len(kept)
            page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image"})
            page.wait_for_selector("#problem:not([hidden])")
            assert "expected a JPEG" in page.inner_text("#problem")
            assert [text for text in problems if "400" not in text] == []  # the refused image
            page.close()


def test_a_hundred_megabytes_are_refused_and_not_kept(server: Server) -> None:
    def resident() -> int:
        command = psutil.Process(server.process.pid)
        replicas = [one for one in command.children(recursive=True) if "yolox" in " ".join(one.cmdline())]
        return max(process.memory_info().rss for process in replicas or [command])

    server.predict(server.images[0])
    before = resident()
    for _ in range(3):
        body = b"\xff\xd8" + b"0" * 100_000_000
        refused = requests.post(f"{server.url}/predict", data=body, headers={"Content-Type": "image/jpeg"}, timeout=60)
        assert refused.status_code == 413 and "95.4 MiB" in refused.json()["error"]
        assert server.predict(server.images[0]).status_code == 200
    assert resident() < before + 60e6


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
def test_load_balancers_ask_without_a_body(server: Server, path: str) -> None:
    head = requests.head(server.url + path, timeout=30)
    assert head.status_code == 200 and head.content == b""
    assert int(head.headers["Content-Length"]) == len(requests.get(server.url + path, timeout=30).content)


@dataclass
class Traffic:
    """What clients saw."""

    statuses: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def keep_asking(self, server: Server) -> None:
        while not self.stop.is_set():
            answered = server.predict(server.images[len(self.statuses) % len(server.images)])
            self.statuses.append(answered.status_code)
            self.versions.append(answered.json()["model"]["version"] if answered.ok else answered.text)


def test_another_champion_is_taken_up_without_a_failed_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(server.project.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    version = register(changed(server.project.root)).version
    traffic = Traffic()
    threads = [threading.Thread(target=traffic.keep_asking, args=(server,)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    client = connect(tracking_uri())
    client.set_registered_model_alias(NAME, CHAMPION, version)
    try:
        until(lambda: version in traffic.versions, 60)
        time.sleep(1)
    finally:
        traffic.stop.set()
        for thread in threads:
            thread.join()
    assert set(traffic.statuses) == {200}, traffic.versions
    assert set(traffic.versions) == {"1", version}
    assert server.predict(server.images[0], version="1").status_code == 404
    until(lambda: f"is version {version} now" in server.logged(), 30)
    numbers = requests.get(f"{server.url}/metrics", timeout=30).text
    assert f'version="{version}"' in numbers or until_told(server, version)


def until_told(server: Server, version: str) -> bool:
    """Ray hands numbers on every few seconds."""
    until(lambda: f'version="{version}"' in requests.get(f"{server.url}/metrics", timeout=30).text, 60, every_s=1)
    return True


def changed(root: Path) -> Release:
    """The released model with every weight a little off, as a release of its own."""
    weights = read_weights(root / "models/released")
    model = weights.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    folder = root / "models/changed"
    shutil.rmtree(folder, ignore_errors=True)
    release(folder, model, weights.spec)
    export_onnx(folder, folder / "model.onnx")
    return dataclasses.replace(stage_release(load_settings()), folder=folder)
