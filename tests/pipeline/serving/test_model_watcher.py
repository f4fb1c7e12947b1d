"""The model in use follows its alias, and stays what it is while the registry cannot be reached."""

import json
import sqlite3
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipeline.registry.register import CHAMPION, register
from pipeline.registry.store import DATABASE, connect, tracking_uri
from pipeline.serving.model_watcher import ModelWatcher, check_reference
from pipeline.serving.options import Options
from tests.pipeline.registry.test_register import a_release
from yolox_core.config import ONNX_FILE, RuntimeName
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.fastest import keep
from yolox_core.inference.predictor import Predictor

CHAMPIONS = f"models:/yolox-detector@{CHAMPION}"
OPENVINO: dict[RuntimeName, float] = {"onnx": 2.0, "openvino": 1.0}  # ms an image


def test_a_moved_alias_is_taken_up_and_a_silent_store_changes_nothing(project: Path) -> None:
    register(a_release(project, seed=1))
    watcher = ModelWatcher(CHAMPIONS, "torch", "cpu")
    first = watcher.model
    assert watcher.moves and (first.name, first.version) == ("yolox-detector", "1")
    assert not watcher.refresh() and watcher.model is first

    register(a_release(project, seed=2))
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    assert watcher.refresh() and watcher.model.version == "2" and watcher.problem == ""

    (project / DATABASE).rename(project / "away.db")
    assert not watcher.refresh()
    assert watcher.model.version == "2" and "no MLflow store" in watcher.problem
    (project / "away.db").rename(project / DATABASE)
    assert not watcher.refresh() and watcher.problem == ""


def test_a_version_whose_files_were_lost_is_not_taken_up(project: Path) -> None:
    register(a_release(project, seed=1))
    watcher = ModelWatcher(CHAMPIONS, "torch", "cpu")
    register(a_release(project, seed=2))
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    with sqlite3.connect(project / DATABASE) as store:
        ((place,),) = store.execute("select storage_location from model_versions where version = 2").fetchall()
    for weights in Path(place.removeprefix("file://")).rglob("model.safetensors"):
        weights.write_bytes(b"damaged")
    assert not watcher.refresh()
    assert watcher.model.version == "1" and "not what was registered" in watcher.problem


def test_a_version_that_cannot_be_loaded_is_tried_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = a_release(project, seed=1), a_release(project, seed=2)
    export_onnx(first.folder, first.folder / ONNX_FILE)
    register(first)
    watcher = ModelWatcher(CHAMPIONS, "onnx", "cpu")
    register(second)  # its ONNX file is none
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "2")
    loaded: list[Path] = []
    load = Predictor.load

    def counted(path: Path, *options: Any) -> Predictor:
        loaded.append(path)
        return load(path, *options)

    monkeypatch.setattr(Predictor, "load", counted)
    assert not watcher.refresh() and not watcher.refresh()
    assert len(loaded) == 1 and "not an ONNX model" in watcher.problem and watcher.model.version == "1"
    connect(tracking_uri()).set_registered_model_alias("yolox-detector", CHAMPION, "1")
    assert not watcher.refresh() and watcher.problem == ""


def test_the_fastest_runtime_is_measured_once_and_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_RUNTIMES", str(project / "runtimes"))
    made = a_release(project, seed=1)
    export_onnx(made.folder, made.folder / ONNX_FILE)
    watcher = ModelWatcher(str(made.folder), "auto", "cpu", threads=1)
    first = watcher.model
    assert first.predictor.runtime == "onnx"  # nothing was measured
    changed = watcher.take_fastest()
    (measured,) = (project / "runtimes").iterdir()
    found = json.loads(measured.read_text())
    assert set(found["ms_an_image"]) == {"onnx", "openvino"} and watcher.model.predictor.runtime == found["fastest"]
    assert changed == (found["fastest"] == "openvino")

    # the other one, whichever it was: what is kept is not measured again, but taken
    other = "onnx" if found["fastest"] == "openvino" else "openvino"
    measured.write_text(json.dumps(found | {"fastest": other}))
    assert watcher.take_fastest() and not watcher.take_fastest()
    assert watcher.model.predictor.runtime == other and watcher.model.version == ""


def test_each_champion_is_run_in_its_own_fastest_runtime(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_RUNTIMES", str(project / "runtimes"))
    exported = []
    for seed in (1, 2):
        made = a_release(project, seed=seed)
        exported.append(made.folder / ONNX_FILE)
        export_onnx(made.folder, exported[-1])
        register(made)
    aliases = connect(tracking_uri())
    aliases.set_registered_model_alias("yolox-detector", CHAMPION, "1")
    watcher = ModelWatcher(CHAMPIONS, "auto", "cpu", threads=1)
    keep(exported[0], OPENVINO)
    assert watcher.is_unmeasured and watcher.take_fastest() and not watcher.is_unmeasured
    assert watcher.model.predictor.runtime == "openvino"

    aliases.set_registered_model_alias("yolox-detector", CHAMPION, "2")
    assert watcher.refresh() and watcher.is_unmeasured and watcher.model.predictor.runtime == "onnx"
    keep(exported[1], OPENVINO)
    assert watcher.take_fastest() and not watcher.is_unmeasured
    assert (watcher.model.version, watcher.model.predictor.runtime) == ("2", "openvino")


def test_a_runtime_that_cannot_be_taken_leaves_the_version_in_use(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLOX_RUNTIMES", str(project / "runtimes"))
    made = a_release(project, seed=1)
    export_onnx(made.folder, made.folder / ONNX_FILE)
    register(made)
    watcher = ModelWatcher(CHAMPIONS, "auto", "cpu", threads=1)
    first = watcher.model
    keep(made.folder / ONNX_FILE, OPENVINO)
    with monkeypatch.context() as broken:
        broken.setattr("yolox_core.inference.openvino_runtime.open_openvino", refuse)
        with pytest.raises(RuntimeError, match="cannot compile"):
            watcher.take_fastest()
    assert watcher.model is first and not watcher.is_unmeasured
    # the version itself was not refused: it is taken up again after another one
    second = a_release(project, seed=2)
    export_onnx(second.folder, second.folder / ONNX_FILE)
    register(second)
    aliases = connect(tracking_uri())
    for version in ("2", "1"):
        aliases.set_registered_model_alias("yolox-detector", CHAMPION, version)
        assert watcher.refresh() and watcher.model.version == version


def refuse(*_: object) -> NoReturn:
    raise RuntimeError("cannot compile")


def test_a_number_or_a_folder_stays(project: Path) -> None:
    made = a_release(project, seed=1)
    register(made)
    assert not ModelWatcher("models:/yolox-detector/1", "torch", "cpu").moves
    watcher = ModelWatcher(str(made.folder), "torch", "cpu")
    assert not watcher.moves and not watcher.refresh()
    assert (watcher.model.name, watcher.model.version) == (made.folder.name, "")
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
