"""Anchor points: where on an input the predictions stand, and how raw predictions become boxes there.

YOLOX is anchor-free: one point a cell, at strides 8, 16 and 32 (paper section 2.1). Legend: A anchor points.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from yolox_core.config import STRIDES
from yolox_core.ops.boxes import cxcywh_to_xyxy

# e^80 strides is no size, but float32 holds it: past e^88 a background point's zero gradient times infinity is NaN
MAX_LOG_SIZE = 80.0


@dataclass(frozen=True)
class Levels:
    """Where each level's points lie among all; L levels."""

    stride_L: Tensor  # float32 px
    size_L2: Tensor  # int64: columns, rows
    first_L: Tensor  # int64: index of its first point


@dataclass(frozen=True)
class AnchorPoints:
    """Level by level, each row-major; A = 8400 at 640x640. Or, with a batch's dimension in front, some of them."""

    grid_A2: Tensor  # float32 column and row, in cells
    stride_A: Tensor  # float32 px
    levels: Levels | None = None  # None where only some points are here

    @property
    def center_A2(self) -> Tensor:
        """The points themselves, x and y px: the middle of each cell."""
        return (self.grid_A2 + 0.5) * self.stride_A[..., None]

    def at(self, index_BM: Tensor) -> "AnchorPoints":
        """The points of these indices: [B, M, 2] and [B, M]."""
        return AnchorPoints(self.grid_A2[index_BM], self.stride_A[index_BM])


def anchor_points(size: tuple[int, int], device: torch.device | str = "cpu") -> AnchorPoints:
    """The points of an input of `size` (height, width) px. Making them waits for a device: keep them."""
    grids, strides, sizes, firsts, first = [], [], [], [], 0
    for stride in STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        row, column = torch.meshgrid(
            torch.arange(rows, device=device, dtype=torch.float32),
            torch.arange(columns, device=device, dtype=torch.float32),
            indexing="ij",
        )
        grids.append(torch.stack((column, row), dim=-1).reshape(-1, 2))
        strides.append(torch.full((rows * columns,), float(stride), device=device))
        sizes.append((columns, rows))
        firsts.append(first)
        first += rows * columns
    levels = Levels(
        torch.tensor(STRIDES, dtype=torch.float32, device=device),
        torch.tensor(sizes, device=device),
        torch.tensor(firsts, device=device),
    )
    return AnchorPoints(torch.cat(grids), torch.cat(strides), levels)


def decode_boxes(raw_BA: Tensor, points: AnchorPoints) -> Tensor:
    """Raw offsets and log sizes [..., A, >=4] -> boxes xyxy px [..., A, 4], float32."""
    raw_BA = raw_BA.float()
    stride_A1 = points.stride_A[:, None]
    # offsets count from the cell's corner, not from its middle
    center = (raw_BA[..., :2] + points.grid_A2) * stride_A1
    size = raw_BA[..., 2:4].clamp(max=MAX_LOG_SIZE).exp() * stride_A1
    return cxcywh_to_xyxy(torch.cat((center, size), dim=-1))


def decode(raw_BA: Tensor, size: tuple[int, int]) -> Tensor:
    """Raw predictions -> [B, A, 4+1+C]: boxes xyxy px of an input of `size` (height, width), then probabilities."""
    boxes_BA4 = decode_boxes(raw_BA, anchor_points(size, raw_BA.device))
    return torch.cat((boxes_BA4, raw_BA[..., 4:].float().sigmoid()), dim=-1)


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
    assert points.levels is not None
    stride_L1, steps = points.levels.stride_L[:, None], math.ceil(2 * radius) + 2
    reach_L1 = stride_L1 * radius
    centers_BGL2 = centers_BG2[:, :, None]
    lowest_BGL2 = (centers_BGL2 / stride_L1 - radius - 0.5).floor_()
    cell_BGL2N = lowest_BGL2[..., None] + torch.arange(steps, device=centers_BG2.device)
    center_BGL2N = (cell_BGL2N + 0.5).mul_(stride_L1[..., None])
    low_BGL2N = center_BGL2N - (centers_BGL2 - reach_L1)[..., None]
    high_BGL2N = (centers_BGL2 + reach_L1)[..., None] - center_BGL2N
    on_image_BGL2N = (cell_BGL2N >= 0) & (cell_BGL2N < points.levels.size_L2[..., None])
    near_BGL2N = (torch.minimum(low_BGL2N, high_BGL2N) > 0).logical_and_(on_image_BGL2N)
    near_BGLNN = near_BGL2N[:, :, :, 1, :, None] & near_BGL2N[:, :, :, 0, None, :]
    column_BGLN, row_BGLN = cell_BGL2N.masked_fill_(~near_BGL2N, 0).long().unbind(3)
    before_BGLN = row_BGLN * points.levels.size_L2[:, :1] + points.levels.first_L[:, None]
    index_BGLNN = before_BGLN[..., :, None] + column_BGLN[..., None, :]
    return index_BGLNN.flatten(2), near_BGLNN.flatten(2)


def _for_objects(values: Tensor) -> Tensor:
    """[A, n] of all images or [B, A, n] of each, to be compared with every object: [.., 1, A, n]."""
    return values.unsqueeze(-3)
