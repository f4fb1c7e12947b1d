"""Anchor points: where on an input the predictions stand, and how raw predictions become boxes there.

YOLOX is anchor-free: one point a cell, at strides 8, 16 and 32 (paper section 2.1). Legend: A anchor points.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from yolox_core.boxes import cxcywh_to_xyxy
from yolox_core.config import STRIDES

# e^80 strides is no size, but float32 holds it: past e^88 a background point's zero gradient times infinity is NaN
MAX_LOG_SIZE = 80.0


@dataclass(frozen=True)
class AnchorPoints:
    """Level by level, each row-major; A = 8400 at 640x640."""

    grid_A2: Tensor  # float32 column and row, in cells
    stride_A: Tensor  # float32 px

    @property
    def center_A2(self) -> Tensor:
        """The points themselves, x and y px: the middle of each cell."""
        return (self.grid_A2 + 0.5) * self.stride_A[:, None]


def anchor_points(size: tuple[int, int], device: torch.device | str = "cpu") -> AnchorPoints:
    """The points of an input of `size` (height, width) px."""
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        row, column = torch.meshgrid(
            torch.arange(rows, device=device, dtype=torch.float32),
            torch.arange(columns, device=device, dtype=torch.float32),
            indexing="ij",
        )
        grids.append(torch.stack((column, row), dim=-1).reshape(-1, 2))
        strides.append(torch.full((rows * columns,), float(stride), device=device))
    return AnchorPoints(torch.cat(grids), torch.cat(strides))


def decode_boxes(raw_BA: Tensor, points: AnchorPoints) -> Tensor:
    """Raw offsets and log sizes [..., A, >=4] -> boxes xyxy px [..., A, 4], float32."""
    raw_BA = raw_BA.float()
    stride_A1 = points.stride_A[:, None]
    # offsets count from the cell's corner, not from its middle
    center = (raw_BA[..., :2] + points.grid_A2) * stride_A1
    size = raw_BA[..., 2:4].clamp(max=MAX_LOG_SIZE).exp() * stride_A1
    return cxcywh_to_xyxy(torch.cat((center, size), dim=-1))


def points_inside(boxes_BG4: Tensor, points: AnchorPoints) -> Tensor:
    """[B, G, A] bool: whether a point lies strictly inside a box."""
    low_BGA2 = points.center_A2 - boxes_BG4[:, :, None, :2]
    high_BGA2 = boxes_BG4[:, :, None, 2:] - points.center_A2
    return torch.minimum(low_BGA2, high_BGA2).amin(dim=-1) > 0


def points_near(centers_BG2: Tensor, radius: float, points: AnchorPoints) -> Tensor:
    """[B, G, A] bool: whether a point lies within `radius` of its own strides of a centre, in x and in y."""
    reach_A1 = points.stride_A[:, None] * radius
    low_BGA2 = points.center_A2 - (centers_BG2[:, :, None] - reach_A1)
    high_BGA2 = (centers_BG2[:, :, None] + reach_A1) - points.center_A2
    return torch.minimum(low_BGA2, high_BGA2).amin(dim=-1) > 0
