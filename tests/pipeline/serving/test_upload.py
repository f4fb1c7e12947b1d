"""What a request may carry, and what is refused of it in one line, by a service around a real small model."""

import base64
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.serving.app import Service, build_app
from pipeline.serving.model_watcher import ModelWatcher
from tests.pipeline.serving.test_app import IMAGE, LIMITS, SPEC, Kept, detect, encoded
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("served") / "released"
    release(folder, build_model(SPEC.model, seed=3), SPEC)
    with TestClient(build_app(Service(ModelWatcher(str(folder), "torch", "cpu"), detect, Kept(), LIMITS))) as opened:
        yield opened


def png_header(height: int, width: int) -> bytes:
    """A file that says it is so large, and has nothing to show for it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (header, b"IDAT" + zlib.compress(b"\0" * 100), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
    )


RAW = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}
JPEG = encoded(".jpg")
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no image": (
        {"files": {"image": ("a.txt", b"some words" * 9)}},
        400,
        "expected a JPEG, PNG, WebP, BMP, TIFF, GIF, PNM,",
    ),
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
    "unknown in the query": (
        {"content": IMAGE, "headers": RAW, "params": {"nms-iou": "0.5"}},
        422,
        "nms-iou: no such parameter. Did you mean 'nms_iou'?",
    ),
    "unknown in a form": (
        {"files": {"image": ("a.png", IMAGE)}, "data": {"confidance": "0.5"}},
        422,
        "confidance: no such parameter. Did you mean 'confidence'?",
    ),
    "unknown in JSON": (
        {"json": {"image": base64.b64encode(IMAGE).decode(), "iou": 0.5}},
        422,
        "iou: no such parameter. Did you mean 'nms_iou'?",
    ),
    "twice in the query": (
        {"content": IMAGE, "headers": RAW, "params": {"confidence": ["0.1", "0.9"]}},
        422,
        "confidence: expected one value, got 2",
    ),
    "twice in a form": (
        {"files": {"image": ("a.png", IMAGE)}, "data": {"nms_iou": ["0.1", "0.9"]}},
        422,
        "nms_iou: expected one value, got 2",
    ),
    "twice in JSON": (
        {"content": b'{"image": "' + base64.b64encode(IMAGE) + b'", "image": "AAAA"}', "headers": JSON},
        422,
        "image: expected one value, got 2",
    ),
    "in the query and in JSON": (
        {"json": {"image": base64.b64encode(IMAGE).decode(), "confidence": 0.5}, "params": {"confidence": "0.5"}},
        422,
        "confidence: expected one value, got 2",
    ),
    "a path for an image": ({"json": {"image": "photos/cat.jpg"}}, 400, "looks like a path or an address"),
    "another name for the image": ({"json": {"img": "AAAA"}}, 400, "Got: img."),
    "unknown version in a form": (
        {"files": {"image": ("a.png", IMAGE)}, "data": {"version": "9"}},
        404,
        "version 9: not served",
    ),
    "unknown version in JSON": (
        {"json": {"image": base64.b64encode(IMAGE).decode(), "version": 9}},
        404,
        "version 9: not served",
    ),
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


TEXT = base64.b64encode(IMAGE).decode()
FORMS: dict[str, dict[str, Any]] = {
    "a line end": {"json": {"image": TEXT + "\n"}},
    "lines of 76": {"json": {"image": base64.encodebytes(IMAGE).decode()}},
    "a data: address": {"json": {"image": f"data:image/png;base64,{TEXT}"}},
    "for addresses": {"json": {"image": base64.urlsafe_b64encode(IMAGE).decode().rstrip("=")}},
    "text in a form": {"files": {"image": (None, TEXT)}},
}


@pytest.mark.parametrize("form", FORMS)
def test_base64_is_taken_as_tools_write_it(client: TestClient, form: str) -> None:
    answered = client.post("/predict", **FORMS[form])
    assert answered.status_code == 200, answered.text
    plain = client.post("/predict", content=IMAGE, headers=RAW)
    assert answered.json()["detections"] == plain.json()["detections"]
