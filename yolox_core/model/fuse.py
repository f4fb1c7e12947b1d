"""The same network with less to do, for inference: what it says stays, to rounding."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from yolox_core.model.blocks import ConvBlock, Focus
from yolox_core.model.yolox import YOLOX


def fused(model: YOLOX) -> YOLOX:
    """A copy in evaluation mode, not to be trained: normalisation within the convolutions, a stem of stride 2."""
    model = copy.deepcopy(model).eval()
    _fuse_below(model)
    return model


def _fuse_below(parent: nn.Module) -> None:
    for name, child in parent.named_children():
        if isinstance(child, Focus):
            setattr(parent, name, _folded(child))
        elif isinstance(child, ConvBlock):
            setattr(parent, name, _block(_convolution(child)))
        else:
            _fuse_below(child)


def _block(convolution: nn.Conv2d) -> nn.Module:
    return nn.Sequential(convolution, nn.SiLU(inplace=True))


def _convolution(block: ConvBlock) -> nn.Conv2d:
    """The block's convolution and normalisation, as one convolution."""
    return fuse_conv_bn_eval(block.conv, block.bn)


def _folded(focus: Focus) -> nn.Module:
    """A convolution of the stacked quarters of an image is one of the image, of twice the kernel and stride 2."""
    quarters = _convolution(focus.conv)
    kernel, padding, channels = quarters.kernel_size[0], int(quarters.padding[0]), quarters.in_channels // 4
    whole = nn.Conv2d(channels, quarters.out_channels, 2 * kernel, stride=2, padding=2 * padding)
    with torch.no_grad():
        whole.bias = quarters.bias
        # Focus stacks top left, bottom left, top right, bottom right
        for quarter, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            whole.weight[:, :, row::2, column::2] = quarters.weight[:, quarter * channels : (quarter + 1) * channels]
    return _block(whole)
