"""`yolox predict`, `assign` and `doctor` as one types them: what they print, what they write, how they end."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli import assign
from pipeline.predict.assignment import DrawnAssignment
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import Yolox, break_image, state
from tests.pipeline.data import folders
from yolox_core.data.image_io import read_image
from yolox_core.inference.predictor import Predictor

CAT, DOG = ("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "source", {f"image{number}": [CAT, DOG] for number in range(3)})


def test_predict_writes_what_the_predictor_finds(yolox: Yolox, model: Path, source: Path) -> None:
    images = source / "JPEGImages"
    ended = yolox(
        "predict", images, "--model", model, "--conf", 1e-5, "--json", "out/found.json", "--save-dir", "drawn"
    )
    assert ended.code == 0 and not ended.line
    assert ended.model == f"model: {model}, PyTorch\n", "what was not exported"
    predictor, expected = Predictor.load(model), []
    for image_id, path in enumerate(sorted(images.iterdir()), start=1):
        (found,) = predictor.predict([read_image(path)], 1e-5, 0.65)
        expected += found.to_json(path.name, image_id)
        assert f"{path.name}: " in ended.out
        assert read_image(Path("drawn") / path.name).shape == read_image(path).shape
    assert expected and json.loads(Path("out/found.json").read_text()) == expected
    assert not list(Path().rglob("*.partial"))


@pytest.mark.parametrize("words", [("--json", "model.json"), ("--save-dir", "drawn"), ("--labels", "labels")])
def test_predict_does_not_write_on_its_model(yolox: Yolox, model: Path, source: Path, words: tuple[str, str]) -> None:
    before = state(model)
    option, name = words
    ended = yolox("predict", source / "JPEGImages" / "image0.jpg", "--model", model, option, model / name)
    ended.refused(option, "expected a place apart from the model")
    assert state(model) == before


def test_predict_says_where_there_is_nothing(yolox: Yolox, model: Path, source: Path) -> None:
    ended = yolox("predict", source / "JPEGImages" / "image0.jpg", "--model", model, "--conf", 1)
    assert (ended.code, ended.out, ended.line) == (0, "image0.jpg: nothing\n", "")
    assert not list(Path().iterdir())


def test_predict_passes_over_a_broken_image(yolox: Yolox, model: Path, source: Path) -> None:
    images = source / "JPEGImages"
    break_image(images / "image1.jpg", images / "image0.jpg")
    ended = yolox("predict", images, "--model", model, "--conf", 1e-5, "--json", "found.json")
    ended.refused("image1.jpg", "truncated")
    assert [line.split(":")[0] for line in ended.out.splitlines()] == ["image0.jpg", "image2.jpg"]
    found = json.loads(Path("found.json").read_text())
    assert {entry["file_name"] for entry in found} == {"image0.jpg", "image2.jpg"}


def test_assign_draws_and_counts(yolox: Yolox, model: Path, source: Path) -> None:
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    image = source / "JPEGImages" / "image2.jpg"
    ended = yolox("assign", image, "--model", model, "--data", source, "--output", "drawn/assigned.png")
    assert ended.code == 0 and not ended.line
    assert cv2.imread("drawn/assigned.png") is not None
    for word in ("1 cat", "2 dog", "16 x 24", "stride 8", "points", "drawn/assigned.png: written"):
        assert word in " ".join(ended.out.split()), word


def test_doctor_ends_with_1_where_it_finds_something(yolox: Yolox, source: Path) -> None:
    assert yolox("doctor", source).code == 0
    break_image(source / "JPEGImages" / "image1.jpg", source / "JPEGImages" / "image0.jpg")
    ended = yolox("doctor", source, "--json", "found.json")
    assert ended.code == 1 and "truncated-image" in ended.out
    assert json.loads(Path("found.json").read_text())["list"]


def test_doctor_writes_a_page_and_a_mended_copy_and_leaves_the_source(yolox: Yolox, source: Path) -> None:
    images = source / "JPEGImages"
    break_image(images / "image1.jpg", images / "image0.jpg")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    ended = yolox("doctor", source, "--html", "page.html", "--fix", "mended", "--input-size", 64)
    assert ended.code == 1 and "1 changes" in ended.out and "truncated-image" in ended.out
    assert "page.html: a page with examples of the findings" in ended.out
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    page = Path("page.html").read_text(encoding="utf-8")
    assert '<section id="truncated-image">' in page and 'src="http' not in page
    (change,) = json.loads(Path("mended/changes.json").read_text())
    assert change["code"] == "truncated-image" and "dropped" in change["change"]
    assert yolox("doctor", "mended").code == 0
    yolox("doctor", source, "--fix", "mended").refused("mended", "new or empty folder")
    yolox("doctor", source, "--fix", source / "mended").refused("outside of")
    assert not (source / "mended").exists()
    yolox("doctor", source, "--input-size", 50).refused("multiple of 32")


def test_assign_prints_class_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = DrawnAssignment(
        np.zeros((8, 8, 3), np.uint8), ["1 a[/b]", "2 [red]c"], [[0, 0, 8, 8]] * 2, [{8: 1}, {8: 2}]
    )
    assign.print_points(drawn)
    printed = capsys.readouterr().out
    assert "1 a[/b]" in printed and "2 [red]c" in printed
