"""The ONNX file says what PyTorch says, for any batch, and carries its own description."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from tests.needs import ROOT
from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.config import ONNX_SPEC_KEY, DetectorSpec
from yolox_core.ops.anchors import decode


def session_of(forms: Forms) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(forms.onnx), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 3])
def test_equals_pytorch(forms: Forms, batch: int) -> None:
    images = np.random.default_rng(batch).integers(0, 256, (batch, 3, *SPEC.input_size)).astype(np.float32)
    (got,) = session_of(forms).run(["predictions"], {"images": images})
    with torch.no_grad():
        expected = decode(forms.model(torch.from_numpy(images)), SPEC.input_size).numpy()
    assert got.shape == expected.shape == (batch, 252, 8)
    assert expected[..., 5:].std() > 0.1  # the detector has an opinion
    np.testing.assert_allclose(got[..., :4], expected[..., :4], atol=1e-3, rtol=0)
    np.testing.assert_allclose(got[..., 4:], expected[..., 4:], atol=1e-5, rtol=0)


def test_carries_its_description(forms: Forms) -> None:
    session = session_of(forms)
    entry = json.loads(session.get_modelmeta().custom_metadata_map[ONNX_SPEC_KEY])
    assert entry == json.loads((forms.released / "model.json").read_text(encoding="utf-8"))
    assert DetectorSpec.from_dict(entry) == SPEC
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape[1:], made.name) == ("images", [3, 96, 128], "predictions")
    assert isinstance(given.shape[0], str)  # any batch


def test_leaves_no_half_written_file(forms: Forms) -> None:
    assert [path.name for path in forms.onnx.parent.glob("*.part")] == []


def test_says_nothing_of_the_machine_that_made_it(forms: Forms) -> None:
    content = forms.onnx.read_bytes()
    assert str(ROOT).encode() not in content and b"site-packages" not in content
