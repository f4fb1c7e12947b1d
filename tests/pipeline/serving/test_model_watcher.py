"""The model in use follows its alias, and stays what it is while the registry cannot be reached."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry.register import CHAMPION, register
from pipeline.registry.store import DATABASE, connect, tracking_uri
from pipeline.serving.model_watcher import ModelWatcher, check_reference
from pipeline.serving.options import Options
from tests.pipeline.registry.test_register import a_release
from yolox_core.config import ONNX_FILE
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor

CHAMPIONS = f"models:/yolox-detector@{CHAMPION}"


def test_a_moved_alias_is_taken_up_and_a_silent_store_changes_nothing(project: Path) -> None:
    register(a_release(project, seed=1))
    in_use = ModelWatcher(CHAMPIONS, "torch", "cpu")
    first = in_use.model
    assert in_use.moves and (first.name, first.version) == ("yolox-detector", "1")
    assert not in_use.refresh() and in_use.model is first

    register(a_release(project, seed=2))
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    assert in_use.refresh() and in_use.model.version == "2" and in_use.problem == ""

    (project / DATABASE).rename(project / "away.db")
    assert not in_use.refresh()
    assert in_use.model.version == "2" and "no MLflow store" in in_use.problem
    (project / "away.db").rename(project / DATABASE)
    assert not in_use.refresh() and in_use.problem == ""


def test_a_version_whose_files_were_lost_is_not_taken_up(project: Path) -> None:
    register(a_release(project, seed=1))
    in_use = ModelWatcher(CHAMPIONS, "torch", "cpu")
    register(a_release(project, seed=2))
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    with sqlite3.connect(project / DATABASE) as store:
        ((place,),) = store.execute("select storage_location from model_versions where version = 2").fetchall()
    for weights in Path(place.removeprefix("file://")).rglob("model.safetensors"):
        weights.write_bytes(b"damaged")
    assert not in_use.refresh()
    assert in_use.model.version == "1" and "not what was registered" in in_use.problem


def test_a_version_that_cannot_be_loaded_is_tried_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = a_release(project, seed=1), a_release(project, seed=2)
    export_onnx(first.folder, first.folder / ONNX_FILE)
    register(first)
    in_use = ModelWatcher(CHAMPIONS, "onnx", "cpu")
    register(second)  # its ONNX file is none
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    loaded: list[Path] = []
    load = Predictor.load

    def counted(path: Path, *options: Any) -> Predictor:
        loaded.append(path)
        return load(path, *options)

    monkeypatch.setattr(Predictor, "load", counted)
    assert not in_use.refresh() and not in_use.refresh()
    assert len(loaded) == 1 and "not an ONNX model" in in_use.problem and in_use.model.version == "1"
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "1")
    assert not in_use.refresh() and in_use.problem == ""


def test_the_fastest_runtime_is_measured_once_and_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_RUNTIMES", str(project / "runtimes"))
    made = a_release(project, seed=1)
    export_onnx(made.folder, made.folder / ONNX_FILE)
    in_use = ModelWatcher(str(made.folder), "auto", "cpu", threads=1)
    first = in_use.model
    assert first.predictor.runtime == "onnx"  # nothing was measured
    changed = in_use.take_fastest()
    (measured,) = (project / "runtimes").iterdir()
    found = json.loads(measured.read_text())
    assert set(found["ms_an_image"]) == {"onnx", "openvino"} and in_use.model.predictor.runtime == found["fastest"]
    assert changed == (found["fastest"] == "openvino")

    # the other one, whichever it was: what is kept is not measured again, but taken
    other = "onnx" if found["fastest"] == "openvino" else "openvino"
    measured.write_text(json.dumps(found | {"fastest": other}))
    assert in_use.take_fastest() and not in_use.take_fastest()
    assert in_use.model.predictor.runtime == other and in_use.model.version == ""


def test_a_number_or_a_folder_stays(project: Path) -> None:
    made = a_release(project, seed=1)
    register(made)
    assert not ModelWatcher("models:/yolox-detector/1", "torch", "cpu").moves
    in_use = ModelWatcher(str(made.folder), "torch", "cpu")
    assert not in_use.moves and not in_use.refresh()
    assert (in_use.model.name, in_use.model.version) == (made.folder.name, "")
    with pytest.raises(InputError, match="has no such version"):
        check_reference("models:/yolox-detector/9", "torch", "cpu")


def test_options_are_checked() -> None:
    assert Options.from_mapping({"model": "m", "queue": 3}).limits.max_waiting == 3
    for given, words in (
        ({"model": "m", "que": 3}, r"args: que: no such option.*queue"),
        ({}, r"expected `model`"),
        ({"model": "m", "replicas": 0}, r"--replicas: expected a whole number"),
        ({"model": "m", "max_mib": float("nan")}, r"--max-mib: expected a number above 0"),
        ({"model": "m", "runtime": "onx"}, r"--runtime: expected one of .*onnx"),
        ({"model": "m", "device": "gpu"}, r"--device: expected cpu or cuda, got 'gpu'"),
        ({"model": "m", "device": "cuda", "runtime": "onnx"}, r"--device cuda: expected --runtime torch"),
    ):
        with pytest.raises(InputError, match=words):
            Options.from_mapping(given)
