"""`yolox export --model`: any weights, no data set."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pipeline.cli.commands_project import SPEC, Yolox, state
from yolox_core.inference.predictor import Predictor


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (64, 80, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    return folder


def test_without_images(yolox: Yolox, model: Path) -> None:
    ended = yolox("export", "--model", model, "--formats", "onnx, openvino,nms", "--output", "out")
    assert ended.code == 0
    found = sorted(path.name for path in Path("out").iterdir())
    assert found == ["export.json", "model.bin", "model.onnx", "model.xml", "model_nms.onnx"]
    rows = json.loads(Path("out/export.json").read_text(encoding="utf-8"))["forms"]
    assert list(rows) == ["torch", "onnx", "openvino", "nms"]
    assert all(rows[form]["max_difference"] < 1e-3 for form in ("onnx", "openvino"))
    assert rows["nms"]["max_difference"] is None  # fresh weights: hundreds of equal scores, which rounding reorders
    assert [line.split(":")[0] for line in ended.out.splitlines()] == [
        "out/model.onnx",
        "out/model.xml",
        "out/model_nms.onnx",
    ]
    assert Predictor.load("out/model.xml").spec == SPEC


def test_integers_from_images(yolox: Yolox, model: Path, images: Path) -> None:
    words = ("--model", model, "--formats", "int8", "--images", images, "--output", "new/out")
    assert yolox("export", *words).code == 0
    assert sorted(path.name for path in Path("new/out").iterdir()) == ["export.json", "model_int8.onnx"]
    assert json.loads(Path("new/out/export.json").read_text(encoding="utf-8"))["images_compared"] == 3
    predicted = yolox("predict", images, "--model", "new/out/model_int8.onnx", "--conf", 0)
    assert predicted.code == 0 and "cat" in predicted.out


def test_what_is_refused_writes_nothing(yolox: Yolox, model: Path, images: Path) -> None:
    Path("used").mkdir()
    Path("used/photo.jpg").write_bytes(b"mine")
    before = state(Path())
    yolox("export", "--model", model, "--formats", "onnx,opnvino").refused("--formats", "'opnvino'", "'openvino'")
    yolox("export", "--model", model, "--formats", "int8").refused("--formats int8", "--images")
    yolox("export", "--model", model, "--output", "used").refused("--output used", "new or empty")
    yolox("export", "--model", model, "--formats", "int8", "--images", "used").refused("used/photo.jpg", "unreadable")
    yolox("export", "--model", "absent.pth").refused("absent.pth", "no such model")
    yolox("export", "--model", "absent.onnx").refused("absent.onnx", "expected weights")
    assert state(Path()) == before


def test_an_unknown_form_in_params(yolox: Yolox) -> None:
    Path("params.yaml").write_text("export: {formats: [onnx, opnvino]}\n")
    yolox("export").refused("export.formats[1]", "'opnvino'", "Did you mean 'openvino'?")
    Path("params.yaml").write_text("export: {formats: [nms]}\n")
    yolox("export").refused("export.formats", "expected onnx and others")
    Path("params.yaml").write_text("export: {int8_images: 0}\n")
    yolox("export").refused("export.int8_images", "at least 1")
