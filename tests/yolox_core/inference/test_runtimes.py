"""PyTorch, ONNX Runtime and OpenVINO say the same of an image; what a file is not made for is refused in a sentence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.config import RUNTIMES, RuntimeName
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_openvino
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


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("images", [1, 3])
def test_every_runtime_says_the_same(folder: Path, forms: Forms, runtime: RuntimeName, images: int) -> None:
    batch = torch.from_numpy(np.random.default_rng(images).integers(0, 256, (images, 3, *SPEC.input_size))).float()
    expected = open_runtime(forms.pt, None, "cpu").decode(batch)
    opened = open_runtime(folder, runtime, "cpu")
    assert opened.spec == SPEC
    assert (opened.single_core is None) == (runtime == "torch")
    ways = [opened.decode] + ([opened.single_core()] if opened.single_core and images == 1 else [])
    for run in ways:
        got = run(batch)
        assert got.shape == expected.shape == (images, 252, 8)
        torch.testing.assert_close(got, expected, atol=2e-3, rtol=0)
        kept = got.clone()
        run(batch.flip(0) * 0)
        assert torch.equal(got, kept)  # a later call does not write into an earlier one's answer


def test_openvino_reads_onnx_and_its_own_form(forms: Forms, tmp_path: Path) -> None:
    export_openvino(forms.onnx, tmp_path / "model.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    batch = torch.full((1, 3, *SPEC.input_size), 114.0)
    first, second = open_runtime(forms.onnx, "openvino", "cpu"), open_runtime(tmp_path / "model.xml", None, "cpu")
    assert first.spec == second.spec == SPEC
    assert torch.equal(first.decode(batch), second.decode(batch))


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
    with pytest.raises(InputError, match="runtime: expected one of torch, onnx, openvino, got 'tensorrt'"):
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
