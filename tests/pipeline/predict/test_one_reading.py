"""Each way to give an image to a model comes to the same pixels: path, bytes, array, Pillow image, command, service,
registered model, evaluation and training."""

import io
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline import Predictor
from pipeline.cli.predict import Request, predict
from pipeline.config.settings import settings_from
from pipeline.serving.app import Service, build_app
from pipeline.serving.model_watcher import ModelWatcher
from pipeline.serving.pool import Pool
from pipeline.serving.pyfunc_model import Detector
from pipeline.training.identity import identity, reading
from tests.pipeline.predict.picture_cases import CASES, COLOR, GRAY, GRAY3, HEIGHT, THERMAL, WIDE, WIDTH, Case, encoded
from tests.pipeline.serving.test_app import Kept
from yolox_core.config import ONNX_FILE, AugmentConfig, DetectorSpec, EvaluateConfig, ModelConfig
from yolox_core.data.dataset import EvaluationSet, SampleKey, TrainingSet
from yolox_core.data.geometry import network_input
from yolox_core.data.image_io import image_size, read_image
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.evaluation.detect import detect_all
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor as CorePredictor
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model
from yolox_core.structures import ImageArray

SIDE = 64
SPEC = DetectorSpec(ModelConfig(2, width=0.125, depth=0.33), ("cat", "dog"), (1, 7), (SIDE, SIDE))
LOSSY = 12.0  # gray levels that a kind with losses may be off, on average


class Models:
    """One detector for images without a range of their set, and one for those with."""

    def __init__(self, root: Path) -> None:
        self.folders: dict[Any, Path] = {}
        model = build_model(SPEC.model, seed=3)
        for name, value_range in (("plain", None), ("ranged", THERMAL)):
            folder = self.folders[value_range] = root / name
            release(folder, model, replace(SPEC, value_range=value_range))
        export_onnx(root / "plain", root / "plain" / ONNX_FILE)
        shutil.copy(root / "plain" / ONNX_FILE, root / "ranged")  # model.json beside it says how images are read
        self.users = {value_range: Predictor(folder, runtime="onnx") for value_range, folder in self.folders.items()}
        self.cores = {key: CorePredictor.load(folder, runtime="onnx") for key, folder in self.folders.items()}
        self.registered = {key: self._registered(folder) for key, folder in self.folders.items()}
        self.clients = {key: self._client(folder) for key, folder in self.folders.items()}

    @staticmethod
    def _registered(folder: Path) -> Detector:
        detector = Detector()
        detector.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
        return detector

    @staticmethod
    def _client(folder: Path) -> TestClient:
        watcher = ModelWatcher(str(folder), "onnx", "cpu", threads=1)
        return TestClient(build_app(Service(watcher, Pool(1).detect, Kept())))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ImageArray]]:
    """What networks get from now on, as images; they run all the same."""
    given: list[ImageArray] = []

    def noted(letterboxed: Any) -> Any:
        given.extend(letterboxed)
        return network_input(letterboxed)

    monkeypatch.setattr("yolox_core.inference.predictor.network_input", noted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what is lost
        yield given


def records(path: Path, case: Case) -> DatasetRecords:
    record = ImageRecord(1, path.name, 0, 0)
    return DatasetRecords(path.parent, (Category(1, "cat"), Category(7, "dog")), [record], value_range=case.value_range)


def opened(data: bytes, is_read: bool = False) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    if is_read:
        image.load()
    return image


def by_service(models: Models, path: Path, case: Case) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = models.clients[case.value_range].post("/predict", content=case.data, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["image"] == {"width": WIDTH, "height": HEIGHT}


WAYS: dict[str, Callable[[Models, Path, Case], Any]] = {
    "path": lambda models, path, case: models.users[case.value_range](path),
    "bytes": lambda models, path, case: models.users[case.value_range](case.data),
    "sliced": lambda models, path, case: models.users[case.value_range].sliced()(path),
    "service": by_service,
    "registered model": lambda models, path, case: models.registered[case.value_range].predict(
        None, pandas.DataFrame({"image": [case.data]})
    ),
    "evaluation": lambda models, path, case: detect_all(
        models.cores[case.value_range], records(path, case), EvaluateConfig()
    ),
}


def test_the_command_gives_the_network_the_same_pixels(
    models: Models, network: list[ImageArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, one after the other: a thread gives them to the network in their order."""
    monkeypatch.setattr("yolox_core.inference.predictor.cores", lambda: 1)
    for value_range, folder in models.folders.items():
        cases = [case for case in CASES.values() if case.value_range == value_range]
        paths = [tmp_path / f"{folder.name}_{number}{case.suffix}" for number, case in enumerate(cases)]
        for path, case in zip(paths, cases, strict=True):
            path.write_bytes(case.data)
        network.clear()
        assert predict(Request(list(map(str, paths)), str(folder), 0.9, 0.5, "onnx")) == 0
        assert len(network) == len(cases)
        for path, image in zip(paths, network, strict=True):
            np.testing.assert_array_equal(image[:HEIGHT, :WIDTH], read_image(path, value_range), err_msg=path.name)


@pytest.mark.parametrize("name", CASES)
def test_each_way_gives_the_network_the_same_pixels(
    models: Models, network: list[ImageArray], tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    path = tmp_path / f"picture{case.suffix}"
    path.write_bytes(case.data)
    assert image_size(path) == (HEIGHT, WIDTH)
    got = {}
    for way, ask in WAYS.items():
        network.clear()
        ask(models, path, case)
        (got[way],) = network
    got["validation set"] = EvaluationSet(records(path, case), (SIDE, SIDE)).load(0).image
    plain = AugmentConfig(mosaic=0, hsv=0, flip=0)
    got["training set"] = TrainingSet(records(path, case), plain, 0).load(SampleKey(0, 0, 0, (SIDE, SIDE))).image
    got |= pillow_ways(models, network, case)
    for way, image in got.items():
        np.testing.assert_array_equal(image, got["path"], err_msg=way)
    pixels = got["path"][:HEIGHT, :WIDTH]
    off = np.abs(pixels.astype(int) - case.pixels).mean()
    assert off == 0 if case.is_exact else off < LOSSY


def pillow_ways(models: Models, network: list[ImageArray], case: Case) -> dict[str, ImageArray]:
    """The image as Pillow has it, before and after it was read."""
    if case.pillow == "unknown":
        return {}
    predictor = models.users[case.value_range]
    if case.pillow == "refused":
        with pytest.raises(InputError, match=r"expected a Pillow image of mode .*, got \w+\. Give the path"):
            predictor(opened(case.data))
        return {}
    got = {}
    for is_read in (False, True)[: 1 if case.pillow == "same until read" else 2]:
        network.clear()
        predictor(opened(case.data, is_read))
        (got[f"Pillow, read: {is_read}"],) = network
    return got


ARRAYS: dict[str, tuple[Any, ImageArray, Any]] = {
    "uint8 HxWx3": (COLOR, COLOR, None),
    "uint8 HxW": (GRAY, GRAY3, None),
    "uint8 HxWx1": (GRAY[..., None], GRAY3, None),
    "uint8 HxWx4": (np.dstack([COLOR, GRAY]), COLOR, None),
    "mirrored": (COLOR[:, ::-1], np.ascontiguousarray(COLOR[:, ::-1]), None),
    "bool": (GRAY > 99, np.where(GRAY3 > 99, 255, 0).astype(np.uint8), None),
    "uint16": (WIDE * 257, GRAY3, None),
    "uint16 color": (COLOR.astype(np.uint16) * 257, COLOR, None),
    "uint16, range": (7000 + WIDE * 4, GRAY3, THERMAL),
    "float, range": ((7000 + WIDE * 4).astype(np.float32), GRAY3, THERMAL),
    "int32, range": ((7000 + WIDE * 4).astype(np.int32), GRAY3, THERMAL),
    "uint8, range": (COLOR, COLOR, THERMAL),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_by_the_same_rule(models: Models, network: list[ImageArray], name: str) -> None:
    array, pixels, value_range = ARRAYS[name]
    models.users[value_range](array)
    models.cores[value_range].predict([array])
    assert len(network) == 2
    for image in network:
        np.testing.assert_array_equal(image[:HEIGHT, :WIDTH], pixels)


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (GRAY.astype(np.float32), "image: expected 8 or 16 bits a sample, got float32, .*data.range"),
        (GRAY.astype(np.int16), "image: expected 8 or 16 bits a sample, got int16"),
        (np.zeros((4, 4, 2), np.uint8), r"image: expected BGR pixels .*, got uint8 \[4, 4, 2\]"),
        (np.zeros((0, 4, 3), np.uint8), r"image: expected BGR pixels .*, got uint8 \[0, 4, 3\]"),
        (np.array([["a"]]), r"image: expected BGR pixels"),
    ],
)
def test_arrays_without_one_meaning_are_refused(models: Models, array: Any, line: str) -> None:
    with pytest.raises(InputError, match=line):
        models.users[None](array)


@pytest.mark.parametrize(
    ("image", "pixels"),
    [
        (Image.fromarray(GRAY > 99), np.where(GRAY3 > 99, 255, 0)),
        (Image.fromarray(WIDE * 257), GRAY3),
        (Image.frombytes("I;16B", (WIDTH, HEIGHT), (WIDE * 257).astype(">u2").tobytes()), GRAY3),
        (Image.fromarray(WIDE.astype(np.int32) * 257), GRAY3),
        (Image.fromarray(COLOR[..., ::-1].copy()).convert("RGBA"), COLOR),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_pillow_images_without_a_file(
    models: Models, network: list[ImageArray], image: Image.Image, pixels: ImageArray
) -> None:
    models.users[None](image)
    np.testing.assert_array_equal(network[0][:HEIGHT, :WIDTH], pixels)


@pytest.mark.parametrize("mode", ["HSV", "LAB", "YCbCr", "F"])
def test_pillow_images_without_one_meaning_are_refused(models: Models, mode: str) -> None:
    with pytest.raises(InputError, match=r"^image: expected "):
        models.users[None](Image.new(mode, (8, 8)))


def test_what_is_lost_is_said_once_a_job(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """By the command, in Python, in a service's answer and by a registered model."""
    few, veiled = WIDE * 4 + 7000, CASES["PNG RGBA"].data
    (tmp_path / "a.png").write_bytes(encoded(".png", few))
    (tmp_path / "b.png").write_bytes(encoded(".png", few))
    (tmp_path / "c.png").write_bytes(veiled)
    assert predict(Request([str(tmp_path)], str(models.folders[None]), 0.9, 0.5, "onnx")) == 0
    first, second = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    left = len(np.unique(few >> 8))
    assert first.startswith(f"warning: {tmp_path / 'a.png'}: {left} of ") and "values are 7000 to 8020" in first
    assert first.endswith(", and so in 1 more image (image-few-levels)")
    assert second.endswith("c.png: a channel of transparency, which is dropped (image-alpha)")

    predictor = Predictor(models.folders[None], runtime="onnx")
    for _ in range(2):
        predictor([tmp_path / "a.png", few])
    assert len([one for one in recwarn if "image-few-levels" in str(one.message)]) == 1

    answer = models.clients[None].post("/predict", content=veiled, headers={"content-type": "image/png"}).json()
    assert answer["warnings"] == ["a channel of transparency, which is dropped (image-alpha)"]
    plain = models.clients[None].post("/predict", content=CASES["PNG RGB"].data, headers={"content-type": "image/png"})
    assert "warnings" not in plain.json()

    detector = Models._registered(models.folders[None])
    for _ in range(2):
        detector.predict(None, pandas.DataFrame({"image": [veiled, veiled]}))
    assert [str(one.message) for one in recwarn if "row 0" in str(one.message)] == [
        "row 0: a channel of transparency, which is dropped (image-alpha). Of other images the same is not repeated."
    ]


def test_a_range_is_part_of_the_model_and_of_the_run_only_where_there_is_one(models: Models) -> None:
    assert "value_range" not in SPEC.to_dict()["preprocessing"]
    ranged = replace(SPEC, value_range=THERMAL)
    assert DetectorSpec.from_dict(ranged.to_dict()) == ranged and DetectorSpec.from_dict(SPEC.to_dict()) == SPEC
    assert models.users[THERMAL].spec.value_range == THERMAL
    assert (
        identity({}, {}, None, **reading(None)) == identity({}, {}, None) != identity({}, {}, None, **reading(THERMAL))
    )
    for wrong in ([1, 1], [2, 1], [0, float("inf")], [1], ["a", 2], 5):
        plain = SPEC.to_dict()
        plain["preprocessing"]["value_range"] = wrong
        with pytest.raises(InputError, match="value_range"):
            DetectorSpec.from_dict(plain)
    with pytest.raises(InputError, match=r"^data\.range: expected \[low, high\]"):
        settings_from({"data": {"range": [9, 1]}})
    assert settings_from({"data": {"range": [0, 4095]}}).data.range == (0, 4095)
