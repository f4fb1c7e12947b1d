"""PAFPN: three maps of the backbone -> three maps that have seen each other, top-down and then bottom-up.

FPN (arXiv 1612.03144) with the bottom-up path of PANet (arXiv 1803.01534). The backbone lives inside, and attribute
names follow yolox/models/yolo_pafpn.py at 6ddff48, because published checkpoints are laid out so.
"""

import torch
from torch import Tensor, nn

from yolox_core.model.backbone import CSPDarknet
from yolox_core.model.blocks import ConvBlock, CSPLayer, spatial_conv


class PAFPN(nn.Module):
    """Images -> maps at strides 8, 16, 32 with `channels` (256, 512, 1024 at width 1)."""

    def __init__(self, base_channels: int, bottlenecks: int, *, depthwise: bool) -> None:
        super().__init__()
        small, middle, large = (base_channels * factor for factor in (4, 8, 16))
        self.channels = (small, middle, large)
        self.backbone = CSPDarknet(base_channels, bottlenecks, depthwise=depthwise)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

        def csp(in_channels: int, out_channels: int) -> CSPLayer:
            return CSPLayer(in_channels, out_channels, bottlenecks, shortcut=False, depthwise=depthwise)

        self.lateral_conv0 = ConvBlock(large, middle, kernel=1)
        self.C3_p4 = csp(2 * middle, middle)
        self.reduce_conv1 = ConvBlock(middle, small, kernel=1)
        self.C3_p3 = csp(2 * small, small)
        self.bu_conv2 = spatial_conv(small, small, 3, stride=2, depthwise=depthwise)
        self.C3_n3 = csp(2 * small, middle)
        self.bu_conv1 = spatial_conv(middle, middle, 3, stride=2, depthwise=depthwise)
        self.C3_n4 = csp(2 * middle, large)

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride_8, stride_16, stride_32 = self.backbone(images_BCHW)
        lateral_32 = self.lateral_conv0(stride_32)
        down_16 = self.C3_p4(torch.cat((self.upsample(lateral_32), stride_16), dim=1))
        lateral_16 = self.reduce_conv1(down_16)
        out_8 = self.C3_p3(torch.cat((self.upsample(lateral_16), stride_8), dim=1))
        out_16 = self.C3_n3(torch.cat((self.bu_conv2(out_8), lateral_16), dim=1))
        out_32 = self.C3_n4(torch.cat((self.bu_conv1(out_16), lateral_32), dim=1))
        return out_8, out_16, out_32
