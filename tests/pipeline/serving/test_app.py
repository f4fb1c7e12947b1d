"""The routes of the web service, around a real small model: what is answered, and what is refused, in one line each."""

import asyncio
import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.concurrency import run_in_threadpool

from pipeline.serving.app import Service, build_app
from pipeline.serving.model_watcher import Model, ModelWatcher
from pipeline.serving.options import Limits
from pipeline.serving.pool import Answer, Pool, Question
from tests.needs import ROOT
from tests.servers import free_port
from tests.waiting import until
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.data.image_io import decode_image
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model
from yolox_core.structures import Detections

SPEC = DetectorSpec(ModelConfig(2, width=0.125, depth=0.33), ("cat", "dog"), (1, 7), (64, 64), confidence=1e-5)
LIMITS = Limits(max_bytes=200_000, max_pixels=1_000_000, max_waiting=3)
TOKEN = "open sesame"


class Kept:
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.parts: list[dict[str, float]] = []

    def answered(self, status: int, seconds: float) -> None:
        self.statuses.append(status)

    def detected(self, model: Model, found: Detections, times_ms: dict[str, float]) -> None:
        self.parts.append(times_ms)

    async def text(self) -> str:
        return f"requests {len(self.statuses)}\n"


detect = Pool(2).detect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("served") / "released"
    release(target, build_model(SPEC.model, seed=3), SPEC)
    return target


@pytest.fixture(scope="module")
def service(folder: Path) -> Service:
    return Service(ModelWatcher(str(folder), "torch", "cpu"), detect, Kept(), LIMITS)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(build_app(service)) as opened:
        yield opened


def encoded(suffix: str = ".png", height: int = 50, width: int = 80) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The application at an address, for those who are no test client."""
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 30)
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


IMAGE = encoded()


def test_a_form_json_and_the_file_itself_give_the_boxes_of_the_predictor(client: TestClient, folder: Path) -> None:
    (found,) = Predictor.load(folder).predict([decode_image(IMAGE, "test")], 1e-4, 0.5)
    expected = found.to_json("", 0)
    assert expected  # a comparison of nothing would prove nothing
    asked = {"confidence": "0.0001", "nms_iou": "0.5"}
    text = base64.b64encode(IMAGE).decode()
    answers = [
        client.post("/predict", files={"image": ("a.png", IMAGE)}, data=asked),
        client.post("/predict", json={"image": text, "confidence": 1e-4, "nms_iou": 0.5}),
        client.post("/predict", params=asked, content=IMAGE, headers={"Content-Type": "image/png"}),
    ]
    for answered in answers:
        assert answered.status_code == 200, answered.text
        assert answered.json()["detections"] == expected
        assert answered.json()["image"] == {"width": 80, "height": 50}
        assert answered.json()["model"] == {"name": "released", "version": ""}


def test_thresholds_are_the_models_own_where_none_are_given(client: TestClient, folder: Path) -> None:
    (found,) = Predictor.load(folder).predict([decode_image(IMAGE, "test")])
    answered = client.post("/predict", files={"image": ("a.png", IMAGE)}).json()
    assert answered["detections"] == found.to_json("", 0)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_other_formats_are_read(client: TestClient, suffix: str) -> None:
    assert client.post("/predict", files={"image": ("a", encoded(suffix))}).status_code == 200


RAW = {"Content-Type": "image/jpeg"}


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/model", "/metrics", "/docs", "/page/page.js", "/nothing"])
def test_head_is_answered_as_get_without_a_body(client: TestClient, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"") and whole.content
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_a_body_without_an_end_is_left_at_the_limit(service: Service) -> None:
    asked = 0
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"0" * 10_000, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"image/jpeg")],
    }
    asyncio.run(build_app(service)(scope, receive, send))
    assert sent[0]["status"] == 413 and b"got more" in sent[1]["body"]
    assert asked == LIMITS.max_bytes // 10_000 + 1


def test_a_body_that_never_comes_makes_room_for_others(folder: Path) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits so long")

    async def send(message: Any) -> None:
        sent.append(dict(message))

    limits = replace(LIMITS, sent_within_s=0.05)
    service = Service(ModelWatcher(str(folder), "torch", "cpu"), detect, Kept(), limits)
    headers = [(b"content-type", b"image/jpeg")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
    asyncio.run(build_app(service)(scope, receive, send))
    assert sent[0]["status"] == 408 and b"within 0.05 s" in sent[1]["body"]
    assert service.waiting == 0


def test_a_defect_is_told_as_json_and_counted(folder: Path) -> None:
    async def broken(question: Question) -> Answer:
        raise RuntimeError("an inner secret")

    kept = Kept()
    with TestClient(build_app(Service(ModelWatcher(str(folder), "torch", "cpu"), broken, kept, LIMITS))) as client:
        failed = client.post("/predict", files={"image": ("a.png", IMAGE)})
        assert failed.status_code == 500 and "secret" not in failed.text and "log" in failed.json()["error"]
        assert kept.statuses == [500] and client.get("/ready").status_code == 200


def test_without_the_token_nothing_but_health_is_told(folder: Path) -> None:
    service = Service(ModelWatcher(str(folder), "torch", "cpu"), detect, Kept(), LIMITS, token=TOKEN)
    with TestClient(build_app(service)) as client:
        for path in ("/model", "/metrics"):
            assert client.get(path).status_code == 401
        wrong = client.post("/predict", files={"image": ("a.png", IMAGE)}, headers={"Authorization": "Bearer wrong"})
        assert wrong.status_code == 401 and "Authorization: Bearer" in wrong.json()["error"]
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("/predict", files={"image": ("a.png", IMAGE)}, headers=right).status_code == 200
        described = client.get("/model", headers=right).json()
        assert (described["class_names"], described["runtime"]) == (["cat", "dog"], "torch")
        assert [client.get(path).status_code for path in ("/health", "/ready", "/")] == [200, 200, 200]
        assert client.get("/ready").json() == {"status": "ready"}  # and not which model


def test_the_example_asks_a_server(folder: Path, tmp_path: Path) -> None:
    """As its first line says: with the token, with a wrong one, and with a file that is no image."""
    (tmp_path / "photo.png").write_bytes(IMAGE)
    (tmp_path / "notes.png").write_text("no image")
    service = Service(ModelWatcher(str(folder), "torch", "cpu"), detect, Kept(), LIMITS, token=TOKEN)

    def call(name: str, **token: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, str(ROOT / "examples/call_server.py"), url, str(tmp_path / name)]
        return subprocess.run(words, env=os.environ | token, capture_output=True, text=True, timeout=60)

    with listening(build_app(service)) as url:
        first, *objects = call("photo.png", YOLOX_SERVE_TOKEN=TOKEN).stdout.splitlines()
        assert first.startswith("released , 80 x 50 px, {") and objects
        assert all(line.startswith(("cat 0.", "dog 0.")) for line in objects)
        for name, token, status in (("photo.png", "wrong", "401: "), ("notes.png", TOKEN, "400: ")):
            refused = call(name, YOLOX_SERVE_TOKEN=token)
            assert refused.returncode == 1 and refused.stderr.startswith(status) and refused.stdout == ""


def test_more_requests_than_may_wait_are_told_to_come_again(folder: Path) -> None:
    begun, go_on = threading.Barrier(LIMITS.max_waiting + 1), threading.Event()

    async def slow(question: Question) -> Answer:
        def held() -> None:
            begun.wait(timeout=30)
            go_on.wait(timeout=30)

        await run_in_threadpool(held)
        return await detect(question)

    service = Service(ModelWatcher(str(folder), "torch", "cpu"), slow, Kept(), LIMITS)
    statuses = []
    with TestClient(build_app(service)) as client:

        def ask() -> None:
            statuses.append(client.post("/predict", files={"image": ("a.png", IMAGE)}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(LIMITS.max_waiting)]
        for thread in threads:
            thread.start()
        begun.wait(timeout=30)
        refused = client.post("/predict", files={"image": ("a.png", IMAGE)})
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        assert client.get("/ready").status_code == 503 and client.get("/health").status_code == 200
        go_on.set()
        for thread in threads:
            thread.join()
        assert statuses == [200] * LIMITS.max_waiting
        assert client.get("/ready").status_code == 200


class Held:
    """Answers once it may."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()

    async def detect(self, question: Question) -> Answer:
        def hold() -> None:
            self.begun.release()
            assert self.go_on.wait(timeout=30)

        await run_in_threadpool(hold)
        return await detect(question)


def test_images_beyond_the_pixels_of_all_together_are_told_to_come_again(folder: Path) -> None:
    held = Held()
    limits = Limits(max_pixels_together=80 * 50 + 20 * 10)
    service = Service(ModelWatcher(str(folder), "torch", "cpu"), held.detect, Kept(), limits)
    statuses = []
    with TestClient(build_app(service)) as client:

        def ask(image: bytes) -> int:
            statuses.append(client.post("/predict", content=image, headers=RAW).status_code)
            return statuses[-1]

        threads = [threading.Thread(target=ask, args=(image,)) for image in (IMAGE, encoded(height=10, width=20))]
        threads[0].start()
        assert held.begun.acquire(timeout=30)
        refused = client.post("/predict", content=IMAGE, headers=RAW)  # another of the same size is too much
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        assert "images of 0 megapixels are at work, of 0.0042 at most" in refused.json()["error"]
        threads[1].start()  # a small one fits
        assert held.begun.acquire(timeout=30)
        assert client.get("/ready").status_code == 503
        held.go_on.set()
        for thread in threads:
            thread.join()
        assert statuses == [200, 200] and service.pixels == 0 and client.get("/ready").status_code == 200
        assert ask(encoded(height=100, width=100)) == 200  # larger than all together may be, but alone


def test_who_leaves_makes_room_only_once_the_image_is_done_with(folder: Path) -> None:
    """As Ray Serve does it: the request is cancelled, the thread that holds the image is not."""
    held = Held()
    service = Service(ModelWatcher(str(folder), "torch", "cpu"), held.detect, Kept(), LIMITS)
    headers = [(b"content-type", b"image/png")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": IMAGE, "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def leave() -> None:
        asked = asyncio.create_task(build_app(service)(scope, receive, send))
        assert await run_in_threadpool(held.begun.acquire, timeout=30)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled() and (service.waiting, service.pixels) == (1, 80 * 50)
        held.go_on.set()
        await run_in_threadpool(until, lambda: not service.answering, 30)
        assert (service.waiting, service.pixels) == (0, 0)

    asyncio.run(leave())


def test_requests_and_their_parts_are_measured(client: TestClient, service: Service) -> None:
    kept = service.meter
    assert isinstance(kept, Kept)
    kept.statuses.clear()
    kept.parts.clear()
    client.post("/predict", files={"image": ("a.png", IMAGE)})
    client.post("/predict", content=b"", headers=RAW)
    client.get("/health")
    assert kept.statuses == [200, 400]
    (parts,) = kept.parts
    assert set(parts) == {"decode", "wait", "network", "total"} and parts["total"] >= parts["network"] > 0
    assert client.get("/metrics").text == "requests 2\n"


def test_the_page_and_the_documentation_take_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for text in (
        page.text,
        client.get("/docs").text,
        client.get("/page/page.js").text,
        client.get("/page/page.css").text,
    ):
        assert "//cdn" not in text and 'src="http' not in text and 'href="http' not in text
    described = client.get("/openapi.json").json()
    assert set(described["paths"]["/predict"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
        "image/*",
    }
    assert client.get("/nothing").json() == {"error": "GET /nothing: not found. See /docs."}
