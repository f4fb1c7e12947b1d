"""Every script of examples/ runs as its first line says (call_server.py: tests/pipeline/serving/test_app.py)."""

import re
import runpy
import shutil
from pathlib import Path

import pytest

from tests.needs import ROOT
from tests.pipeline.cli.commands_project import SPEC, released
from tests.pipeline.data import folders
from tests.pipeline.predict.clips import clip
from yolox_core.data.image_io import read_image

EXAMPLES = ROOT / "examples"


class Example:
    """`python examples/<name>.py <words>`, in this process; what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, name: str, *words: object) -> list[str]:
        self._monkeypatch.setattr("sys.argv", [name, *map(str, words)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Example:
    return Example(capsys, monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its threshold is so low that random weights find something everywhere."""
    return released(tmp_path_factory.mktemp("model") / "released")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folders.picture(tmp_path / "images" / "photo.png", 1, size=(100, 200))
    return tmp_path / "images" / "photo.png"


def test_predict_image(example: Example, model: Path, image: Path) -> None:
    first, *objects = example("predict_image", model, image)
    assert re.fullmatch(r"Detections\(\d+ objects: .*\)", first)
    assert f"Detections({len(objects)} objects" in first and objects[0].startswith(SPEC.class_names)


def test_count_in_video(example: Example, model: Path, tmp_path: Path) -> None:
    printed = example("count_in_video", model, clip(tmp_path / "clip.mp4", frames=25, per_second=10))
    assert [line.partition(":")[0] for line in printed] == ["second 0", "second 1", "second 2"]
    assert all("'dog': " in line or "'cat': " in line for line in printed)


def test_slice_large_image(example: Example, model: Path, image: Path, tmp_path: Path) -> None:
    (line,) = example("slice_large_image", model, image, tmp_path / "drawn.jpg")
    at_once, in_tiles = map(int, re.findall(r": (\d+)", line))
    assert in_tiles > at_once
    assert read_image(tmp_path / "drawn.jpg").shape == (100, 200, 3)


def test_crops(example: Example, model: Path, image: Path, tmp_path: Path) -> None:
    (image.parent / "broken.jpg").write_bytes(b"no image")
    broken, good = example("crops", model, image.parent, tmp_path / "crops")
    assert "broken.jpg: unreadable image" in broken and good.startswith("photo.png: ")
    assert (tmp_path / "crops" / "photo_0.png").is_file()


@pytest.mark.training
def test_train_in_python(example: Example, tmp_path: Path) -> None:
    first, second, found = example("train_in_python", tmp_path / "run")
    assert first.startswith("epoch 0: loss ") and second.startswith("epoch 1: loss ")
    assert found.startswith("Detections(")
    assert example("train_in_python", tmp_path / "run") == []  # complete: nothing is left to do
    shutil.rmtree(tmp_path / "run")


def test_the_table_names_every_script() -> None:
    named = set(re.findall(r"`(\w+\.py)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in EXAMPLES.glob("*.py")}
