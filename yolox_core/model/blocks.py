"""The layers that YOLOX is made of.

Names of attributes follow Megvii-BaseDetection/YOLOX yolox/models/network_blocks.py at 6ddff48, so that published
checkpoints load key by key. Shapes: [B, C, H, W].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM_EPS = 1e-3  # yolox_base.py:114-118
BATCH_NORM_MOMENTUM = 0.03


class ConvBlock(nn.Module):
    """Convolution, batch norm, SiLU; keeps the size at stride 1, halves it at stride 2."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        # not in place: autograd would copy the input first (14% of a training step on a CPU)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class DepthwiseConvBlock(nn.Module):
    """A 3x3 convolution a channel, then a 1x1 across channels (YOLOX-nano)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = ConvBlock(in_channels, in_channels, kernel, stride, groups=in_channels)
        self.pconv = ConvBlock(in_channels, out_channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pconv(self.dconv(x))
        return out


def spatial_conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, depthwise: bool
) -> ConvBlock | DepthwiseConvBlock:
    """The k x k convolution of the plain or of the depthwise-separable network."""
    block = DepthwiseConvBlock if depthwise else ConvBlock
    return block(in_channels, out_channels, kernel, stride)


class Focus(nn.Module):
    """Stacks the four interleaved quarters of an image by channel, halving its size, then convolves."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = ConvBlock(in_channels * 4, out_channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = x[..., ::2, :], x[..., 1::2, :]
        # order of the published weights: top left, bottom left, top right, bottom right
        quarters = (top[..., ::2], bottom[..., ::2], top[..., 1::2], bottom[..., 1::2])
        out: Tensor = self._on_cuda(quarters) if x.is_cuda else self.conv(torch.cat(quarters, dim=1))
        return out

    def _on_cuda(self, quarters: tuple[Tensor, ...]) -> Tensor:
        """The same with channels of zeros up to a multiple of 8: tensor cores take no other number."""
        convolution, channels = self.conv.conv, 4 * quarters[0].shape[1]
        more = -channels % 8
        images, _, rows, columns = quarters[0].shape
        nothing = quarters[0].new_zeros((images, more, rows, columns)).contiguous(memory_format=torch.channels_last)
        stacked = torch.cat((*quarters, nothing), dim=1).contiguous(memory_format=torch.channels_last)
        weight = functional.pad(convolution.weight, (0, 0, 0, 0, 0, more))
        out = functional.conv2d(stacked, weight, convolution.bias, convolution.stride, convolution.padding)
        activated: Tensor = self.conv.act(self.conv.bn(out))
        return activated


class Bottleneck(nn.Module):
    """1x1 then 3x3 convolution, added to its input where `shortcut`."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels, kernel=1)
        self.conv2 = spatial_conv(channels, channels, 3, depthwise=depthwise)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out + x if self.shortcut else out


class CSPLayer(nn.Module):
    """A deep branch of bottlenecks and a branch of one convolution, joined by a third (CSPNet, arXiv 1911.11929)."""

    def __init__(
        self, in_channels: int, out_channels: int, bottlenecks: int, *, shortcut: bool, depthwise: bool
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.conv1 = ConvBlock(in_channels, hidden, kernel=1)
        self.conv2 = ConvBlock(in_channels, hidden, kernel=1)
        self.conv3 = ConvBlock(2 * hidden, out_channels, kernel=1)
        self.m = nn.Sequential(
            *(Bottleneck(hidden, shortcut=shortcut, depthwise=depthwise) for _ in range(bottlenecks))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(torch.cat((self.m(self.conv1(x)), self.conv2(x)), dim=1))
        return out


class SPPBottleneck(nn.Module):
    """Max pooling over 5, 9 and 13 points side by side (spatial pyramid pooling, arXiv 1406.4729)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = in_channels // 2
        self.conv1 = ConvBlock(in_channels, hidden, kernel=1)
        self.pool = nn.MaxPool2d(kernel_size=5, stride=1, padding=2)
        self.conv2 = ConvBlock(hidden * 4, out_channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        # a maximum over 9 is a maximum over 5 of maxima over 5, and 13 once more: exact, and 4x less to compare
        five: Tensor = self.pool(x)
        nine: Tensor = self.pool(five)
        out: Tensor = self.conv2(torch.cat((x, five, nine, self.pool(nine)), dim=1))
        return out
