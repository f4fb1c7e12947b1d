"""PyTorch, ONNX Runtime and OpenVINO say the same of an image; what a file is not made for is refused in a sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.config import RUNTIMES, RuntimeName
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_openvino
from yolox_core.inference.fastest import fastest, keep
from yolox_core.inference.runtime_timing import measure
from yolox_core.inference.runtimes import open_runtime


@pytest.fixture(scope="module")
def folder(forms: Forms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released folder with its ONNX twin."""
    target = tmp_path_factory.mktemp("runtimes") / "released"
    target.mkdir()
    for path in forms.released.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    (target / "model.onnx").write_bytes(forms.onnx.read_bytes())
    return target


@pytest.fixture(autouse=True)
def _nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No runtime was measured before, and this user's own figures stay as they are."""
    monkeypatch.setenv("YOLOX_RUNTIMES", str(tmp_path / "runtimes"))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("images", [1, 3])
def test_every_runtime_says_the_same(folder: Path, forms: Forms, runtime: RuntimeName, images: int) -> None:
    batch = np.random.default_rng(images).integers(0, 256, (images, 3, *SPEC.input_size)).astype(np.float32)
    expected = open_runtime(forms.pt, None, "cpu").decode(batch)
    opened = open_runtime(folder, runtime, "cpu")
    assert opened.spec == SPEC
    assert (opened.single_core is None) == (runtime == "torch")
    ways = [opened.decode] + ([opened.single_core()] if opened.single_core and images == 1 else [])
    for run in ways:
        got = run(batch)
        assert got.shape == expected.shape == (images, 252, 8)
        np.testing.assert_allclose(got, expected, atol=2e-3, rtol=0)
        kept = got.copy()
        run(batch[::-1] * 0)
        assert np.array_equal(got, kept)  # a later call does not write into an earlier one's answer


def test_openvino_reads_onnx_and_its_own_form(forms: Forms, tmp_path: Path) -> None:
    export_openvino(forms.onnx, tmp_path / "model.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    batch = np.full((1, 3, *SPEC.input_size), 114, np.float32)
    first, second = open_runtime(forms.onnx, "openvino", "cpu"), open_runtime(tmp_path / "model.xml", None, "cpu")
    assert first.spec == second.spec == SPEC
    assert np.array_equal(first.decode(batch), second.decode(batch))


def test_a_folder_is_run_without_pytorch_where_it_can_be(folder: Path, forms: Forms) -> None:
    for asked in (None, "auto"):
        assert open_runtime(folder, asked).name == "onnx", "nothing was measured on this processor yet"
        assert open_runtime(forms.released, asked).name == "torch", "not exported"
    assert open_runtime(folder, None, "meta").name == "torch", "ONNX Runtime is used on a CPU alone"
    keep(folder / "model.onnx", {"onnx": 2.0, "openvino": 1.9})
    assert open_runtime(folder).name == "onnx", "not clearly faster"
    keep(folder / "model.onnx", {"onnx": 2.0, "openvino": 1.0})
    assert open_runtime(folder).name == "openvino"
    assert open_runtime(folder / "model.onnx").name == "onnx", "a file of one form is run by its own runtime"


@pytest.mark.parametrize("runtime", [None, "auto", "onnx", "openvino"])
def test_a_gpu_is_for_pytorch_alone(folder: Path, forms: Forms, runtime: str | None) -> None:
    with pytest.raises(InputError, match=r"device cuda: expected PyTorch .* Name a released folder or a \.pt"):
        open_runtime(forms.onnx, runtime, "cuda")
    if runtime in ("onnx", "openvino"):
        with pytest.raises(InputError, match="device meta: expected PyTorch"):
            open_runtime(folder, runtime, "meta")
    assert open_runtime(forms.onnx, runtime, "cpu:0").name == (runtime if runtime == "openvino" else "onnx")


def test_the_fastest_is_measured_once(forms: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastest(forms.onnx) is None
    found = measure(forms.onnx)
    assert found in ("onnx", "openvino") and fastest(forms.onnx) == found
    monkeypatch.setattr("yolox_core.inference.runtime_timing.milliseconds", None)  # not called a second time
    assert measure(forms.onnx) == found
    (kept,) = Path(os.environ["YOLOX_RUNTIMES"]).glob("*.json")
    assert set(json.loads(kept.read_text())["ms_an_image"]) == {"onnx", "openvino"}
    kept.write_text("{")
    assert fastest(forms.onnx) is None, "what is damaged is measured again"


def test_a_choice_that_cannot_be_kept_is_made_all_the_same(
    forms: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("YOLOX_RUNTIMES", str(tmp_path / "file"))
    assert keep(forms.onnx, {"onnx": 2.0, "openvino": 1.0}) == "openvino"
    assert "cannot be kept" in caplog.text and "Name a folder by YOLOX_RUNTIMES" in caplog.text
    assert fastest(forms.onnx) is None


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_what_is_not_installed_is_named(folder: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"onnx": "onnxruntime"}.get(runtime, runtime)
    brought_by = {"torch": "'yolox-pipeline[train]'", "openvino": "'yolox-pipeline[openvino]'"}.get(runtime, package)
    monkeypatch.setitem(sys.modules, package, None)  # as Python marks what must not be imported
    with pytest.raises(InputError, match=rf"which is not installed. Run: pip install {re.escape(brought_by)}; or"):
        open_runtime(folder, runtime)
    if runtime != "torch":
        assert open_runtime(folder).name == ({"onnx", "openvino"} - {runtime}).pop()


def test_names_and_thresholds_are_those_of_the_folder_today(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "edited")
    plain = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**plain, "thresholds": {"confidence": 0.5, "nms_iou": 0.4}}))
    assert open_runtime(copy, "onnx").spec == replace(SPEC, confidence=0.5, nms_iou=0.4)
    (copy / "model.json").write_text(json.dumps({**plain, "input_size": [64, 64]}))
    with pytest.raises(InputError, match=r"model.json and model.onnx are of different models: input \[64, 64\] px"):
        open_runtime(copy, "onnx")


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_network_of_another_size_than_its_description(forms: Forms, tmp_path: Path, runtime: str) -> None:
    proto = onnx.load(forms.onnx)
    for entry in proto.metadata_props:
        if entry.key == "yolox_pipeline_model":
            entry.value = json.dumps({**json.loads(entry.value), "input_size": [64, 64]})
    onnx.save(proto, tmp_path / "model.onnx")
    said = r"expected one input, float32 \[any, 3, 64, 64\], as its metadata says, got float32 \[any, 3, 96, 128\]"
    with pytest.raises(InputError, match=said):
        open_runtime(tmp_path / "model.onnx", runtime)


def _fixed_batch(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def _more_classes(proto: onnx.ModelProto) -> None:
    (entry,) = (entry for entry in proto.metadata_props if entry.key == "yolox_pipeline_model")
    plain = json.loads(entry.value)
    plain["architecture"]["num_classes"] += 1
    plain["class_names"].append("another")
    plain["category_ids"].append(99)
    entry.value = json.dumps(plain)


def _another_input(proto: onnx.ModelProto) -> None:
    kind = onnx.TensorProto.FLOAT
    proto.graph.input.append(onnx.helper.make_tensor_value_info("second", kind, [1]))


@pytest.mark.parametrize("change", [_fixed_batch, _more_classes, _another_input])
def test_an_altered_export_is_refused_before_it_is_run(
    forms: Forms, tmp_path: Path, change: Callable[[onnx.ModelProto], None]
) -> None:
    proto = onnx.load(forms.onnx)
    change(proto)
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"model.onnx: expected one (in|out)put, float32 \[any, .* Export the model"):
        open_runtime(tmp_path / "model.onnx")


def test_onnx_runtime_reports_to_nobody(forms: Forms, tmp_path: Path) -> None:
    """Its device id is the first thing that its telemetry writes."""
    code = (
        "import os, pathlib; from yolox_core.inference.runtimes import open_runtime;"
        f"open_runtime(pathlib.Path({str(forms.onnx)!r})); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1" and not done.stderr
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_a_runtime_that_is_installed_and_broken(
    forms: Forms, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise ImportError('libtbb.so.12: no such file')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    for name in [name for name in sys.modules if name.partition(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"OpenVINO is installed, but cannot be imported \(libtbb.so.12: no such file"):
        open_runtime(folder, "openvino")
    assert measure(folder / "model.onnx") == "onnx", "the default works all the same"


def test_openvino_reports_to_nobody(forms: Forms) -> None:
    code = (
        "import sys, pathlib; from yolox_core.inference.runtimes import open_runtime;"
        f"open_runtime(pathlib.Path({str(forms.onnx)!r}), 'openvino', 'cpu');"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_file_is_not_made_for(forms: Forms, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runtime: expected torch for such a file, got onnx"):
        open_runtime(forms.pt, "onnx", "cpu")
    with pytest.raises(InputError, match="expected onnx or openvino for such a file, got torch"):
        open_runtime(forms.onnx, "torch", "cpu")
    with pytest.raises(InputError, match="runtime: expected one of auto, torch, onnx, openvino, got 'tensorrt'"):
        open_runtime(folder, "tensorrt", "cpu")
    with pytest.raises(InputError, match=r"model\.onnx: no such file: this model was not exported"):
        open_runtime(forms.released, "onnx", "cpu")  # a trained model that was not exported


def test_what_openvino_cannot_read(forms: Forms, tmp_path: Path) -> None:
    (tmp_path / "text.xml").write_text("<not a model/>")
    with pytest.raises(InputError, match="not an OpenVINO model: expected an XML file of a <net>"):
        open_runtime(tmp_path / "text.xml", None, "cpu")
    (tmp_path / "alone.xml").write_text("<net/>")
    with pytest.raises(InputError, match=r"weights alone\.bin are missing"):
        open_runtime(tmp_path / "alone.xml", None, "cpu")
    (tmp_path / "half.onnx").write_bytes(forms.onnx.read_bytes()[:5000])
    with pytest.raises(InputError, match="not a model that OpenVINO can read: "):
        open_runtime(tmp_path / "half.onnx", "openvino", "cpu")
    with pytest.raises(InputError, match=r"no such file|not a model"):
        export_openvino(tmp_path / "absent.onnx", tmp_path / "made.xml")
    assert not list(tmp_path.glob("made*"))
