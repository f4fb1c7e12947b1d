"""Bad input through the real command: one line that says what, where and what to do, code 2, and nothing written."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.cli.repro.command import new_params
from pipeline.config import paths
from pipeline.config.settings import settings_from
from pipeline.console.exit_codes import refusals
from pipeline.stages import fingerprint, ingest, prepare, validate
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import Yolox, break_image, released, state
from tests.pipeline.data import folders
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

BOXES = [("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "source", {f"image{number}": BOXES for number in range(8)})


def params(source: Path | str, **model: Any) -> dict[str, Any]:
    """A small params.yaml, written to the current folder."""
    plain = {"data": {"source": str(source)}, "model": {"width": 0.125, "depth": 0.33, "depthwise": False, **model}}
    paths.PARAMS.write_text(yaml.safe_dump(plain))
    return plain


def prepared(source: Path) -> None:
    """The stages before training, done."""
    settings = settings_from(params(source))
    for stage in (fingerprint, ingest, validate, prepare):
        stage.run(settings)


@pytest.mark.parametrize("stage", ["fingerprint", "ingest"])
def test_no_such_folder(yolox: Yolox, tmp_path: Path, stage: str) -> None:
    params(tmp_path / "nowhere")
    before = state(tmp_path)
    yolox(stage).refused(str(tmp_path / "nowhere"), "no such folder")
    assert state(tmp_path) == before


def test_no_such_folder_to_examine_or_predict(yolox: Yolox, tmp_path: Path, model: Path) -> None:
    yolox("doctor", tmp_path / "nowhere", "--json", "out.json").refused("nowhere", "no such folder")
    yolox("predict", tmp_path / "nowhere", "--model", model, "--json", "out.json").refused("no such image or folder")
    assert not list(Path().iterdir())


def test_a_folder_without_annotations(yolox: Yolox, tmp_path: Path) -> None:
    for number in range(3):
        folders.picture(tmp_path / "pictures" / f"image{number}.png", number)
    params(tmp_path / "pictures")
    before = state(tmp_path)
    ended = yolox("ingest")
    ended.refused("pictures", "COCO", "VOC", "YOLO", ".png")
    assert state(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_an_image_that_is_none(yolox: Yolox, tmp_path: Path, model: Path, content: bytes) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    yolox("predict", tmp_path / "bad.jpg", "--model", model, "--json", "out.json").refused(
        "bad.jpg", "unreadable image"
    )
    assert not list(Path().iterdir())


def test_a_truncated_image(yolox: Yolox, tmp_path: Path, model: Path, source: Path) -> None:
    broken = break_image(tmp_path / "broken.jpg", source / "JPEGImages" / "image0.jpg")
    ended = yolox("predict", broken, "--model", model, "--json", "out.json", "--save-dir", "drawn")
    ended.refused("broken.jpg", "truncated")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("option", ["--conf", "--iou"])
@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan"])
def test_a_threshold_outside_0_to_1(yolox: Yolox, source: Path, model: Path, option: str, value: str) -> None:
    image = source / "JPEGImages" / "image0.jpg"
    yolox("predict", image, "--model", model, option, value, "--json", "out.json").refused(option, "0 to 1", value)
    assert not list(Path().iterdir())


def test_a_threshold_outside_0_to_1_in_params(yolox: Yolox) -> None:
    paths.PARAMS.write_text("evaluate: {confidence: 1.2}\n")
    yolox("evaluate").refused("evaluate.confidence", "0 to 1", "1.2")


@pytest.mark.parametrize(
    ("text", "unknown", "near"),
    [
        ("train: {epoch: 3}", "train.epoch", "'epochs'"),
        ("modle: {width: 0.5}", "modle", "'model'"),
        ("augment: {mosiac: 1.0}", "augment.mosiac", "'mosaic'"),
        ("data: {split: {vall: 0.1}}", "data.split.vall", "'val'"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(yolox: Yolox, text: str, unknown: str, near: str) -> None:
    paths.PARAMS.write_text(text)
    yolox("fingerprint").refused("params.yaml", f"'{unknown}'", f"Did you mean {near}?")
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]


def test_no_params(yolox: Yolox) -> None:
    yolox("prepare").refused("params.yaml", "no such file", "project's root")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.epoch=3", ("train.epoch", "'epochs'")),
        ("train.epochs", ("SET", "key=value", "train.epochs")),
        ("train.epochs=many", ("train.epochs", "a whole number", "many")),
        ("seed.more=1", ("seed", "not a section")),
        ("evaluate.confidence=7", ("evaluate.confidence", "0 to 1", "7")),
    ],
)
def test_a_slip_in_set_changes_nothing(
    yolox: Yolox, capsys: pytest.CaptureFixture[str], setting: str, words: tuple[str, ...]
) -> None:
    shutil.copyfile(ROOT / "params.yaml", paths.PARAMS)
    before = state(Path())
    with pytest.raises(SystemExit) as ended, refusals():
        new_params(["train.batch_size=8", setting], None, None)
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.count("\n") == 1
    assert all(word in line for word in words), line
    assert state(Path()) == before


def test_a_good_set_changes_nothing_either(yolox: Yolox) -> None:
    shutil.copyfile(ROOT / "params.yaml", paths.PARAMS)
    before = state(Path())
    new_params(["train.epochs=20", "model.depth=0.67", "augment.multiscale=[256,384]"], None, None)
    assert state(Path()) == before


def test_a_checkpoint_for_another_architecture(yolox: Yolox, tmp_path: Path, source: Path, model: Path) -> None:
    prepared(source)
    spec = DetectorSpec(ModelConfig(2, width=0.25, depth=0.33), ("cat", "dog"), (1, 7), (64, 64))
    release(tmp_path / "wider", build_model(spec.model, seed=0), spec)
    params(source, weights=str(tmp_path / "wider"))
    before = state(tmp_path)
    yolox("train").refused("wider", "expected width 0.125", "of width 0.25", "Set model.width to 0.25")
    assert state(tmp_path) == before


class Bomb:
    """What a hostile file holds: unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["text", "pickle", "torch", "tensors"])
def test_a_file_that_is_no_checkpoint(yolox: Yolox, tmp_path: Path, source: Path, kind: str) -> None:
    prepared(source)
    weights, exploded = tmp_path / "weights.pth", tmp_path / "exploded"
    if kind == "text":
        weights.write_text("these are not weights")
    elif kind == "pickle":
        weights.write_bytes(pickle.dumps({"model": Bomb(exploded)}))
    elif kind == "torch":
        torch.save({"model": Bomb(exploded)}, weights)
    else:
        torch.save({"model": {"layer.weight": torch.zeros(3)}}, weights)
    params(source, weights=str(weights))
    before = state(tmp_path)
    yolox("train").refused("weights.pth", "checkpoint")
    yolox("predict", source / "JPEGImages", "--model", weights, "--json", "out.json").refused("weights.pth")
    assert state(tmp_path) == before and not exploded.exists()


@pytest.mark.parametrize("name", ["nowhere", "nowhere.pt", "nowhere.pth", "nowhere.onnx"])
def test_a_model_that_is_not_there(yolox: Yolox, source: Path, name: str) -> None:
    yolox("predict", source / "JPEGImages", "--model", name, "--json", "out.json").refused(name, "no such model")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("reference", "words"),
    [("models:/yolox-detector@champion", ("no MLflow store", "make repro")), ("models:/yolox", ("expected models:/",))],
)
def test_a_registered_model_that_is_not_there(
    yolox: Yolox, source: Path, reference: str, words: tuple[str, ...]
) -> None:
    yolox("predict", source / "JPEGImages", "--model", reference, "--json", "out.json").refused(reference, *words)
    assert not list(Path().iterdir())


def test_a_damaged_release(yolox: Yolox, tmp_path: Path, source: Path) -> None:
    damaged = released(tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    yolox("predict", source / "JPEGImages", "--model", damaged).refused("damaged model")
    weights.unlink()
    yolox("predict", source / "JPEGImages", "--model", damaged).refused("model.safetensors", "found model.json")


@pytest.mark.parametrize(
    ("stage", "needed"),
    [
        ("validate", "data/raw"),
        ("prepare", "data/valid"),
        ("train", "manifest.json"),
        ("evaluate", "models/trained"),
        ("export", "data/prepared"),
        ("register", "reports/"),
        ("report", "models/released"),
    ],
)
def test_a_stage_before_its_turn(yolox: Yolox, source: Path, stage: str, needed: str) -> None:
    params(source)
    before = state(Path())
    yolox(stage).refused("no such")
    assert state(Path()) == before, needed


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ("model.width: [0.3]", "sweep.space.model.width: expected multiples of 1/8, got 0.3"),
        ("model.widht: [0.25]", "sweep.space: unknown parameter 'model.widht'"),
        ("", "sweep.space: expected at least one parameter"),
    ],
)
def test_a_space_of_a_sweep_that_cannot_be(yolox: Yolox, space: str, line: str) -> None:
    Path("params.yaml").write_text(f"model: {{size: nano}}\nsweep: {{space: {{{space}}}}}\n")
    yolox("sweep").refused(line)
    assert not Path("runs").exists()
