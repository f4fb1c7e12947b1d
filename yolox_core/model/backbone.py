"""CSPDarknet: an image -> three maps at strides 8, 16 and 32.

Attribute names follow yolox/models/darknet.py at 6ddff48 of Megvii-BaseDetection/YOLOX.
"""

from torch import Tensor, nn

from yolox_core.model.blocks import CSPLayer, Focus, SPPBottleneck, spatial_conv


class CSPDarknet(nn.Module):
    """At width 1 the maps of a 640x640 image are 256x80x80, 512x40x40 and 1024x20x20."""

    def __init__(self, base_channels: int, bottlenecks: int, *, depthwise: bool) -> None:
        super().__init__()
        c, n = base_channels, bottlenecks

        def down(channels: int) -> nn.Module:
            return spatial_conv(channels, channels * 2, 3, stride=2, depthwise=depthwise)

        def csp(channels: int, count: int, *, shortcut: bool = True) -> CSPLayer:
            return CSPLayer(channels, channels, count, shortcut=shortcut, depthwise=depthwise)

        self.stem = Focus(3, c, kernel=3)
        self.dark2 = nn.Sequential(down(c), csp(c * 2, n))
        self.dark3 = nn.Sequential(down(c * 2), csp(c * 4, n * 3))
        self.dark4 = nn.Sequential(down(c * 4), csp(c * 8, n * 3))
        self.dark5 = nn.Sequential(down(c * 8), SPPBottleneck(c * 16, c * 16), csp(c * 16, n, shortcut=False))

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride_8 = self.dark3(self.dark2(self.stem(images_BCHW)))
        stride_16 = self.dark4(stride_8)
        return stride_8, stride_16, self.dark5(stride_16)
