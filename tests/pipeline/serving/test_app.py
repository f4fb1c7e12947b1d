"""The routes of the web service, around a real small model: what is answered, and what is refused, in one line each."""

import asyncio
import base64
import os
import struct
import subprocess
import sys
import threading
import zlib
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


def png_header(height: int, width: int) -> bytes:
    """A file that says it is so large, and has nothing to show for it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (header, b"IDAT" + zlib.compress(b"\0" * 100), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
    )


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
JSON = {"Content-Type": "application/json"}
JPEG = encoded(".jpg")
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no image": ({"files": {"image": ("a.txt", b"some words" * 9)}}, 400, "expected a JPEG, PNG, WebP or BMP file"),
    "truncated": ({"content": JPEG[: len(JPEG) // 2], "headers": RAW}, 400, "truncated"),
    "damaged": ({"content": png_header(10, 10), "headers": RAW}, 400, "unreadable image"),
    "nothing": ({"content": b"", "headers": RAW}, 400, "the file is empty"),
    "too many bytes": ({"files": {"image": ("a.jpg", b"\xff\xd8" + b"0" * 300_000)}}, 413, "expected at most 0.19"),
    "too many pixels": ({"content": png_header(50_000, 50_000), "headers": RAW}, 413, "50000 x 50000 px"),
    "wrong type": ({"content": IMAGE, "headers": {"Content-Type": "text/plain"}}, 415, "got text/plain"),
    "no type": ({"content": IMAGE}, 415, "got none"),
    "no field": ({"files": {"picture": ("a.png", IMAGE)}}, 400, "got fields: picture"),
    "no form": ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "form:"),
    "no json": ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
    "no base64": ({"json": {"image": "*"}}, 400, "not base64"),
    "json without an image": ({"json": [1]}, 400, "<base64 of the file>"),
    "threshold": ({"content": IMAGE, "headers": RAW, "params": {"confidence": "2"}}, 422, "from 0 to 1, got '2'"),
    "threshold, too long": (
        {"content": b'{"image": "' + base64.b64encode(IMAGE) + b'", "nms_iou": 1' + b"0" * 400 + b"}", "headers": JSON},
        422,
        "from 0 to 1",
    ),
    "threshold, no number": ({"json": {"image": base64.b64encode(IMAGE).decode(), "nms_iou": []}}, 422, "nms_iou"),
    "unknown version": ({"content": IMAGE, "headers": RAW, "params": {"version": "9"}}, 404, "version 9: not served"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_told_in_one_line_and_the_next_is_served(client: TestClient, kind: str) -> None:
    request, status, words = BAD[kind]
    refused = client.post("/predict", **request)
    assert refused.status_code == status, refused.text
    message = refused.json()["error"]
    assert words in message and "\n" not in message
    assert client.post("/predict", files={"image": ("a.png", IMAGE)}).status_code == 200


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
