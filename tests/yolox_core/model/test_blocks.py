"""The stem as a GPU wants it says what the plain one says, in the layout that it was given."""

import pytest
import torch

from yolox_core.model.blocks import Focus


def test_channels_of_zeros_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    focus = Focus(3, 8, kernel=3).eval().to(memory_format=torch.channels_last)
    image = torch.randn(2, 3, 64, 48).contiguous(memory_format=torch.channels_last)
    top, bottom = image[..., ::2, :], image[..., 1::2, :]
    quarters = (top[..., ::2], bottom[..., ::2], top[..., 1::2], bottom[..., 1::2])
    seen: list[torch.Tensor] = []
    convolve = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *given: seen.append(given[0]) or convolve(*given))
    padded = focus._on_cuda(quarters)
    (stacked,) = seen
    assert stacked.shape == (2, 16, 32, 24) and stacked.is_contiguous(memory_format=torch.channels_last)
    monkeypatch.undo()
    assert torch.allclose(padded, focus(image), atol=1e-6)
    padded.sum().backward()
    assert focus.conv.conv.weight.grad is not None and focus.conv.conv.weight.grad.abs().sum() > 0
