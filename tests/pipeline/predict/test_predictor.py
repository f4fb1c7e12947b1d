"""`from pipeline import Predictor`: a model in three lines, with whatever image is at hand."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import Detections, Found, Predictor
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import SPEC
from tests.pipeline.data import folders
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor as CorePredictor


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folders.picture(tmp_path / "photo.png", 1)
    return tmp_path / "photo.png"


def same(one: Detections, other: Detections) -> bool:
    return len(one) > 0 and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("boxes", "scores", "labels", "names")
    )


def test_every_kind_of_image_gives_the_same(model: Path, image: Path) -> None:
    predictor = Predictor(model)
    found = predictor(image)
    pixels = read_image(image)
    assert same(found, predictor(str(image)))
    assert same(found, predictor(image.read_bytes()))
    assert same(found, predictor(pixels))
    with Image.open(image) as opened:
        assert same(found, predictor(opened))
    (expected,) = CorePredictor.load(model).predict([pixels])
    assert np.array_equal(found.boxes, expected.boxes)
    assert found.boxes.dtype == np.float32 and found.boxes.shape == (len(found), 4)
    assert found.names.tolist() == [SPEC.class_names[label] for label in found.labels]
    assert found.to_json("photo.png") == expected.to_json("photo.png", 1)


def test_a_pillow_image_is_turned_as_its_exif_says(model: Path, image: Path, tmp_path: Path) -> None:
    with Image.open(image) as opened:
        exif = opened.getexif()
        exif[0x0112] = 6  # a quarter turn
        opened.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert same(Predictor(model)(turned), Predictor(model)(tmp_path / "turned.png"))


def test_a_list_gives_a_list(model: Path, image: Path) -> None:
    predictor = Predictor(model, confidence=0.0)
    one = predictor(image)
    found = predictor([image, read_image(image), image.read_bytes()])
    assert len(found) == 3 and all(same(one, other) for other in found)
    assert predictor([]) == []


def test_thresholds_are_its_own_or_those_given(model: Path, image: Path) -> None:
    own = Predictor(model)(image)
    assert len(own) > len(Predictor(model, nms_iou=0.0)(image)) > 0
    assert len(Predictor(model, confidence=1.0)(image)) == 0
    assert same(own, Predictor(model, confidence=SPEC.confidence, nms_iou=SPEC.nms_iou)(image))


def test_as_supervision_has_it(model: Path, image: Path) -> None:
    found = Predictor(model)(image)
    theirs = found.to_supervision()
    assert np.array_equal(theirs.xyxy, found.boxes) and np.array_equal(theirs.confidence, found.scores)
    assert theirs["class_name"].tolist() == found.names.tolist()
    assert len(Predictor(model, confidence=1.0)(image).to_supervision()) == 0


def test_its_tiles(model: Path, image: Path) -> None:
    plain = Predictor(model, confidence=0.0, nms_iou=1.0)
    sliced = plain.sliced(32, overlap=0.25)
    assert len(sliced(image)) > len(plain(image)) and sliced.spec == plain.spec


def test_what_cannot_be_read(model: Path, image: Path, tmp_path: Path) -> None:
    predictor = Predictor(model)
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        predictor([image, tmp_path / "nowhere.jpg"])
    answers = list(predictor.stream([b"no image", image]))
    assert isinstance(answers[0], InputError) and not isinstance(answers[1], InputError)
    odd: Any = 3
    with pytest.raises(InputError, match="expected a path, bytes, BGR pixels or a Pillow image, got int"):
        predictor(odd)


def test_the_name_of_before_works() -> None:
    assert Found is Detections


def test_it_reads_well() -> None:
    row = np.array([[10, 20, 30, 40]], np.float32)
    found = Detections(row, np.array([0.86], np.float32), np.array([1]), SPEC)
    assert repr(found) == "Detections(1 object: dog 0.86 [10, 20, 30, 40])"
    many = Detections(row.repeat(7, axis=0), np.full(7, 0.5, np.float32), np.zeros(7, np.int64), SPEC)
    assert repr(many).startswith("Detections(7 objects: cat 0.50 ")
    assert repr(many).endswith("; and 2 more)")
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), SPEC)
    assert repr(nothing) == "Detections(nothing)"
    assert not nothing.names.size


def test_the_package_alone_loads_no_detector() -> None:
    words = [sys.executable, "-c", "import sys, pipeline; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
