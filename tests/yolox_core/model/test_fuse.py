"""A fused network says what the plain one says, and leaves that as it was."""

import pytest
import torch
from torch import nn

from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.config import ModelConfig
from yolox_core.model.fuse import fused
from yolox_core.model.yolox import build_model


@pytest.mark.parametrize("depthwise", [False, True])
def test_says_the_same(depthwise: bool) -> None:
    plain = build_model(ModelConfig(num_classes=3, width=0.125, depthwise=depthwise), seed=1)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    plain.train()
    quick = fused(plain)
    assert plain.training and not quick.training
    plain.eval()
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = plain(images)
        got = quick(images)
    torch.testing.assert_close(got, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())


def test_of_a_detector_with_opinions() -> None:
    plain = opinionated()
    images = torch.rand(1, 3, *SPEC.input_size, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        torch.testing.assert_close(fused(plain)(images), plain(images), atol=1e-3, rtol=1e-4)
