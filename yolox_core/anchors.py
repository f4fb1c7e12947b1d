"""Anchor points: where on an input the predictions stand, and how raw predictions become boxes there.

YOLOX is anchor-free: one point a cell, at strides 8, 16 and 32 (paper section 2.1). Legend: A anchor points.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from yolox_core.boxes import cxcywh_to_xyxy
from yolox_core.config import STRIDES

# e^80 strides is no size, but float32 holds it: past e^88 a background point's zero gradient times infinity is NaN
MAX_LOG_SIZE = 80.0


@dataclass(frozen=True)
class AnchorPoints:
    """Level by level, each row-major; A = 8400 at 640x640. Or, with a batch's dimension in front, some of them."""

    grid_A2: Tensor  # float32 column and row, in cells
    stride_A: Tensor  # float32 px
    shapes: tuple[tuple[int, int], ...] = ()  # (rows, columns) of each level; empty where only some points are here

    @property
    def center_A2(self) -> Tensor:
        """The points themselves, x and y px: the middle of each cell."""
        return (self.grid_A2 + 0.5) * self.stride_A[..., None]

    def at(self, index_BM: Tensor) -> "AnchorPoints":
        """The points of these indices: [B, M, 2] and [B, M]."""
        return AnchorPoints(self.grid_A2[index_BM], self.stride_A[index_BM])


def anchor_points(size: tuple[int, int], device: torch.device | str = "cpu") -> AnchorPoints:
    """The points of an input of `size` (height, width) px."""
    grids, strides, shapes = [], [], []
    for stride in STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        shapes.append((rows, columns))
        row, column = torch.meshgrid(
            torch.arange(rows, device=device, dtype=torch.float32),
            torch.arange(columns, device=device, dtype=torch.float32),
            indexing="ij",
        )
        grids.append(torch.stack((column, row), dim=-1).reshape(-1, 2))
        strides.append(torch.full((rows * columns,), float(stride), device=device))
    return AnchorPoints(torch.cat(grids), torch.cat(strides), tuple(shapes))


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
    center_A2 = _for_objects(points.center_A2)
    low_BGA2 = center_A2 - boxes_BG4[:, :, None, :2]
    high_BGA2 = boxes_BG4[:, :, None, 2:] - center_A2
    return torch.minimum(low_BGA2, high_BGA2).amin(dim=-1) > 0


def cells_near(centers_BG2: Tensor, radius: float, points: AnchorPoints) -> tuple[Tensor, Tensor]:
    """The points within `radius` of their own strides of a centre, strictly, in x and in y.

    Looked for only around each centre: [B, G, N] indices and whether they hold. N is 3 (ceil(2 radius) + 2)^2: a
    border around the cells that can be near, so that rounding decides nothing here.
    """
    indices, nears, first = [], [], 0
    is_x = torch.arange(2, device=centers_BG2.device)[:, None] == 0
    steps = torch.arange(math.ceil(2 * radius) + 2, device=centers_BG2.device)
    for stride, (rows, columns) in zip(STRIDES, points.shapes, strict=True):
        reach = points.stride_A.new_full((), stride) * radius
        lowest_BG2 = (centers_BG2 / stride - radius - 0.5).floor()
        cell_BG2N = lowest_BG2[..., None] + steps
        center_BG2N = (cell_BG2N + 0.5) * stride
        low_BG2N = center_BG2N - (centers_BG2 - reach)[..., None]
        high_BG2N = (centers_BG2 + reach)[..., None] - center_BG2N
        limit = torch.where(is_x, columns, rows)  # not from a list, whose copy would be waited for
        near_BG2N = (torch.minimum(low_BG2N, high_BG2N) > 0) & (cell_BG2N >= 0) & (cell_BG2N < limit)
        near_BGNN = near_BG2N[:, :, 1, :, None] & near_BG2N[:, :, 0, None, :]
        column_BGN, row_BGN = torch.where(near_BG2N, cell_BG2N, 0).long().unbind(2)
        index_BGNN = first + row_BGN[..., :, None] * columns + column_BGN[..., None, :]
        indices.append(index_BGNN.flatten(2))
        nears.append(near_BGNN.flatten(2))
        first += rows * columns
    return torch.cat(indices, dim=-1), torch.cat(nears, dim=-1)


def _for_objects(values: Tensor) -> Tensor:
    """[A, n] of all images or [B, A, n] of each, to be compared with every object: [.., 1, A, n]."""
    return values.unsqueeze(-3)
