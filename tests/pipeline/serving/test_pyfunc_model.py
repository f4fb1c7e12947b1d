"""The registered model through MLflow gives the boxes of the Predictor, locally and as a REST server would ask."""

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas
import pytest
import requests
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.models.model import Model
from mlflow.pyfunc import PyFuncModel, load_model
from mlflow.pyfunc.scoring_server import init

from pipeline.registry.pyfunc_packaging import package
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.data.image_io import decode_image
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

SPEC = DetectorSpec(ModelConfig(2, width=0.125, depth=0.33), ("cat", "dog"), (1, 7), (64, 64), confidence=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released folder of random weights and the MLflow model made from it."""
    root = tmp_path_factory.mktemp("packaged")
    release(root / "released", build_model(SPEC.model, seed=3), SPEC)
    package(root / "released", root / "mlflow", Model())
    return root


@pytest.fixture(scope="module")
def model(folder: Path) -> PyFuncModel:
    return load_model(str(folder / "mlflow"))


def encoded(seed: int, height: int, width: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


IMAGES = [encoded(0, 50, 80), encoded(1, 64, 64), encoded(2, 120, 30)]


def test_boxes_equal_those_of_the_predictor(folder: Path, model: PyFuncModel) -> None:
    predictor = Predictor.load(folder / "released")
    expected = [
        predictor.predict([decode_image(image, "test")])[0].to_json("", row) for row, image in enumerate(IMAGES)
    ]
    assert model.predict(pandas.DataFrame({"image": IMAGES})) == expected
    assert all(expected)  # a comparison of nothing would prove nothing


def test_thresholds_are_optional_parameters(model: PyFuncModel) -> None:
    table = pandas.DataFrame({"image": IMAGES[:1]})
    plain = model.predict(table)[0]
    cut = sorted(entry["score"] for entry in plain)[len(plain) // 2]
    some = model.predict(table, params={"confidence": cut})[0]
    assert 0 < len(some) < len(plain) and min(entry["score"] for entry in some) >= cut
    with pytest.raises(InputError, match="confidence"):
        model.predict(table, params={"confidence": 1.5})


@pytest.fixture(scope="module")
def address(model: PyFuncModel) -> Iterator[str]:
    """The server of `mlflow models serve` on a free port of this machine."""
    server = uvicorn.Server(uvicorn.Config(init(model), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


def test_a_rest_request_is_answered_in_json(address: str, model: PyFuncModel) -> None:
    rows = [[base64.b64encode(image).decode("ascii")] for image in IMAGES]
    body = {"dataframe_split": {"columns": ["image"], "data": rows}, "params": {"confidence": 1e-5}}
    answer = requests.post(f"{address}/invocations", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == model.predict(pandas.DataFrame({"image": IMAGES}))


@pytest.mark.parametrize("bad", [b"no image", IMAGES[0][:40]], ids=["text", "truncated"])
def test_an_unreadable_image_names_its_row(model: PyFuncModel, bad: bytes) -> None:
    with pytest.raises(InputError, match="row 1"):
        model.predict(pandas.DataFrame({"image": [IMAGES[0], bad]}))


def test_a_missing_column_is_refused_by_the_signature(model: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match="image"):
        model.predict(pandas.DataFrame({"picture": IMAGES}))
