"""The decoupled head: three maps -> raw predictions for every anchor point (paper section 2.2).

Only layers live here; assignment, losses and decoding are files of their own. Attribute names follow
yolox/models/yolo_head.py at 6ddff48.
"""

import math

import torch
from torch import Tensor, nn

from yolox_core.config import STRIDES
from yolox_core.model.blocks import ConvBlock, spatial_conv

PRIOR = 0.01  # probability that a fresh objectness or class layer predicts, so that early training is calm


class DecoupledHead(nn.Module):
    """[B, C_l, H/s, W/s] for each stride s -> [B, A, 4 + 1 + C], level by level and row by row."""

    def __init__(self, in_channels: tuple[int, int, int], hidden: int, num_classes: int, *, depthwise: bool) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(*(spatial_conv(hidden, hidden, 3, depthwise=depthwise) for _ in range(2)))

        self.num_classes = num_classes
        self.stems = nn.ModuleList(ConvBlock(channels, hidden, kernel=1) for channels in in_channels)
        self.cls_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.reg_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, num_classes, 1) for _ in STRIDES)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in STRIDES)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in STRIDES)
        self.reset_prior()

    def reset_prior(self) -> None:
        """Let the objectness and class layers start at PRIOR."""
        for layer in (*self.cls_preds, *self.obj_preds):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.cat([self._level(level, features) for level, features in enumerate(maps)], dim=1)

    def _level(self, level: int, features: Tensor) -> Tensor:
        stem = self.stems[level](features)
        for_class = self.cls_convs[level](stem)
        for_box = self.reg_convs[level](stem)
        raw = torch.cat(
            (self.reg_preds[level](for_box), self.obj_preds[level](for_box), self.cls_preds[level](for_class)), dim=1
        )
        return raw.flatten(2).transpose(1, 2)
