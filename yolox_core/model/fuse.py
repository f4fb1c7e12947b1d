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
    for block in model.modules():
        if isinstance(block, ConvBlock):
            block.conv = fuse_conv_bn_eval(block.conv, block.bn)
            block.bn = nn.Identity()  # type: ignore[assignment]
            block.act = nn.SiLU(inplace=True)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Focus):
                setattr(parent, name, _folded(child))
    return model


def _folded(focus: Focus) -> nn.Module:
    """A convolution of the stacked quarters of an image is one of the image, of twice the kernel and stride 2."""
    quarters = focus.conv.conv
    assert quarters.bias is not None  # fused
    kernel, padding, channels = quarters.kernel_size[0], int(quarters.padding[0]), quarters.in_channels // 4
    whole = nn.Conv2d(channels, quarters.out_channels, 2 * kernel, stride=2, padding=2 * padding)
    with torch.no_grad():
        whole.bias = quarters.bias
        # Focus stacks top left, bottom left, top right, bottom right
        for quarter, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            whole.weight[:, :, row::2, column::2] = quarters.weight[:, quarter * channels : (quarter + 1) * channels]
    return nn.Sequential(whole, focus.conv.act)
