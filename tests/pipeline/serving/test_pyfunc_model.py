"""The registered model through MLflow gives the boxes of the Predictor, locally and as a REST server would ask."""

import base64
import json
import shutil
import subprocess
import sys
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

from pipeline.registry import model_code
from pipeline.registry.pyfunc_packaging import package
from tests.needs import ROOT
from yolox_core.config import ONNX_FILE, DetectorSpec, ModelConfig
from yolox_core.data.image_io import decode_image
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

SPEC = DetectorSpec(ModelConfig(2, width=0.125, depth=0.33), ("cat", "dog"), (1, 7), (64, 64), confidence=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released folder of random weights and the MLflow model made from it."""
    root = tmp_path_factory.mktemp("packaged")
    release(root / "released", build_model(SPEC.model, seed=3), SPEC)
    export_onnx(root / "released", root / "released" / ONNX_FILE)
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
    predictor = Predictor.load(folder / "released", runtime="onnx")
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
    with pytest.raises(ValueError, match="confidence"):  # an InputError of the package that travels with the model
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


TEXTS = [base64.b64encode(image).decode("ascii") for image in IMAGES]
FORMS: dict[str, dict[str, object]] = {
    "dataframe_split": {"dataframe_split": {"columns": ["image"], "data": [[text] for text in TEXTS]}},
    "dataframe_split with an index": {
        "dataframe_split": {
            "index": [7, 7, 9],
            "columns": ["id", "image"],
            "data": [[number, text] for number, text in enumerate(TEXTS)],
        }
    },
    "dataframe_records": {"dataframe_records": [{"image": text} for text in TEXTS]},
    "instances, by rows": {"instances": [{"image": text} for text in TEXTS]},
    "instances, alone": {"instances": TEXTS},
    "inputs, by columns": {"inputs": {"image": TEXTS}},
    "inputs, by rows": {"inputs": [{"image": text} for text in TEXTS]},
    "inputs, alone": {"inputs": TEXTS},
    "as tools write base64": {
        "inputs": [
            base64.encodebytes(IMAGES[0]).decode(),
            f"data:image/jpeg;base64,{TEXTS[1]}",
            base64.urlsafe_b64encode(IMAGES[2]).decode().rstrip("="),
        ]
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_the_scoring_protocol_is_answered(address: str, model: PyFuncModel, form: str) -> None:
    answer = requests.post(f"{address}/invocations", json=FORMS[form], timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == model.predict(pandas.DataFrame({"image": IMAGES}))


def test_a_csv_file_is_answered(address: str, model: PyFuncModel) -> None:
    body = pandas.DataFrame({"image": TEXTS}).to_csv(index=False)
    answer = requests.post(f"{address}/invocations", data=body, headers={"Content-Type": "text/csv"}, timeout=30)
    assert answer.json()["predictions"] == model.predict(pandas.DataFrame({"image": IMAGES}))


@pytest.mark.parametrize("form", ["dataframe_records", "inputs"])
def test_a_refusal_is_one_line_without_the_request(address: str, form: str) -> None:
    body = {form: [{"image": TEXTS[0]}, {"image": "photos/cat.jpg"}]}
    refused = requests.post(f"{address}/invocations", json=body, timeout=30)
    assert refused.status_code == 400 and len(refused.text) < 400, refused.text
    assert "row 1: expected a file's content as base64, got what looks like a path" in refused.json()["message"]


def test_a_bad_row_does_not_lose_the_others_where_the_caller_asks_so(address: str, model: PyFuncModel) -> None:
    rows = [TEXTS[0], "photos/cat.jpg", None, base64.b64encode(b"no image").decode(), TEXTS[2]]
    body = {"inputs": [{"image": row} for row in rows], "params": {"on_error": "return"}}
    found = requests.post(f"{address}/invocations", json=body, timeout=30).json()["predictions"]
    good = model.predict(pandas.DataFrame({"image": IMAGES}))
    assert found[0] == good[0] and [entry | {"image_id": 2} for entry in found[4]] == good[2]
    assert [list(one) for one in found[1:4]] == [["error"]] * 3
    assert "row 1: " in found[1]["error"] and "a path" in found[1]["error"]
    assert found[2]["error"].endswith("got NoneType.") and "row 3: unreadable image" in found[3]["error"]
    with pytest.raises(ValueError, match=r"on_error: expected raise or return, got 'retrun'\. Did you mean 'return'\?"):
        model.predict(IMAGES, params={"on_error": "retrun"})


PIXELS = [decode_image(image, "test") for image in IMAGES]
GIVEN: dict[str, object] = {
    "a table": pandas.DataFrame({"image": IMAGES}),
    "a table of pixels": pandas.DataFrame({"image": PIXELS}),
    "a table's values": pandas.DataFrame({"image": IMAGES}).to_numpy(),
    "a column": pandas.Series(IMAGES, name="image"),
    "a list of bytes": IMAGES,
    "a list of texts": TEXTS,
    "a list of pixels": PIXELS,
    "a list of rows": [{"image": image} for image in IMAGES],
    "a mapping": {"image": IMAGES},
    "an array of bytes": np.array(IMAGES),
    "an array of objects": np.array([*IMAGES, None], object)[:3],
    "a tuple of buffers": (bytearray(IMAGES[0]), memoryview(IMAGES[1]), IMAGES[2]),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_tables_lists_and_arrays_are_taken_in_python(model: PyFuncModel, kind: str) -> None:
    assert model.predict(GIVEN[kind]) == model.predict(pandas.DataFrame({"image": IMAGES}))


@pytest.mark.parametrize(
    "given", [IMAGES[0], TEXTS[0], PIXELS[0], PIXELS[0][None]], ids=["bytes", "text", "pixels", "batch"]
)
def test_one_image_is_taken_in_python(model: PyFuncModel, given: object) -> None:
    assert model.predict(given) == model.predict([IMAGES[0]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Path("photos/cat.jpg"), "row 0: expected an image's content, got the path"),
        (PIXELS[0].astype(np.float32), "8 or 16 bits a sample, got float32"),
        (3, "row 0: expected an encoded image as bytes or base64 text, .*got int"),
        ([IMAGES[0], None], "row 1: .*got NoneType"),
        (pandas.DataFrame({"image": IMAGES, "confidence": 0.5}), "confidence: expected among `params`, got a column"),
        ({"img": IMAGES}, "expected a column 'image', got: img"),
    ],
    ids=["path", "floats", "number", "none", "column", "key"],
)
def test_what_is_no_image_is_refused_in_one_line(model: PyFuncModel, given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.predict(given)


@pytest.mark.parametrize("bad", [b"no image", IMAGES[0][:40]], ids=["text", "truncated"])
def test_an_unreadable_image_names_its_row(model: PyFuncModel, bad: bytes) -> None:
    with pytest.raises(ValueError, match="row 1"):
        model.predict(pandas.DataFrame({"image": [IMAGES[0], bad]}))


def test_a_missing_column_is_refused(model: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match="image"):
        model.predict(pandas.DataFrame({"picture": IMAGES}))


ALONE = """
import json, sys
for name in ("torch", "torchvision", "ray", "safetensors", "yolox_core", "pipeline"):
    sys.modules[name] = None  # as where it is not installed
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(pandas.DataFrame({"image": [open(name, "rb").read() for name in sys.argv[2:]]}))))
"""


def test_it_needs_neither_pytorch_nor_this_project(folder: Path, model: PyFuncModel) -> None:
    files = []
    for number, image in enumerate(IMAGES):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(image)
    words = [sys.executable, "-P", "-c", ALONE, str(folder / "mlflow"), *map(str, files)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == model.predict(pandas.DataFrame({"image": IMAGES}))


def test_models_of_two_releases_run_their_own_code_in_one_process(
    folder: Path, model: PyFuncModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "yolox_core", tmp_path / "yolox_core", ignore=shutil.ignore_patterns("__pycache__"))
    reader = tmp_path / "yolox_core/data/image_io.py"
    reader.write_text(reader.read_text(encoding="utf-8").replace("unreadable image", "no picture"), encoding="utf-8")
    monkeypatch.setattr(model_code, "ROOT", tmp_path)
    package(folder / "released", tmp_path / "mlflow", Model())
    other = load_model(str(tmp_path / "mlflow"))
    bad, good = pandas.DataFrame({"image": [b"none"]}), pandas.DataFrame({"image": IMAGES[:1]})
    for one, words in ((model, "row 0: unreadable image"), (other, "row 0: no picture"), (model, "unreadable image")):
        with pytest.raises(ValueError, match=words):
            one.predict(bad)
    assert other.predict(good) == model.predict(good)


def test_what_travels_is_the_predictor_alone(folder: Path) -> None:
    (code,) = (folder / "mlflow/code").iterdir()
    names = {file.relative_to(code).as_posix() for file in code.rglob("*.py")}
    assert {"__init__.py", "inference/predictor.py", "inference/onnx_runtime.py", "data/image_io.py"} <= names
    assert not [name for name in names if name.startswith(("training/", "loss/", "export/", "model/yolox", "ops/"))]
    assert "inference/torch_runtime.py" not in names  # PyTorch is not among the requirements
    text = "".join(
        file.read_text(encoding="utf-8") for file in [*code.rglob("*.py"), folder / "mlflow/pyfunc_model.py"]
    )
    assert "from yolox_core." not in text and f"from {code.name}.inference.predictor import Predictor" in text
    needs = (folder / "mlflow/requirements.txt").read_text(encoding="utf-8")
    assert not [name for name in ("torch", "ray", "safetensors") if name in needs]
