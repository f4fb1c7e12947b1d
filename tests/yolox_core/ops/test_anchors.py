"""Where the points stand and how raw numbers become boxes there."""

import math

import pytest
import torch
from torch import Tensor

from yolox_core.ops.anchors import AnchorPoints, anchor_points, cells_near, decode_boxes, points_inside


@pytest.mark.parametrize(("size", "count"), [((640, 640), 8400), ((416, 416), 3549), ((64, 96), 126), ((32, 32), 21)])
def test_number_of_points(size: tuple[int, int], count: int) -> None:
    points = anchor_points(size)
    assert points.grid_A2.shape == (count, 2)
    assert points.stride_A.shape == (count,)


def test_level_by_level_and_row_by_row() -> None:
    """An input of 32 px high and 64 px wide: 4 x 8, 2 x 4 and 1 x 2 points."""
    points = anchor_points((32, 64))
    assert points.stride_A.tolist() == [8.0] * 32 + [16.0] * 8 + [32.0] * 2
    assert points.center_A2[:2].tolist() == [[4, 4], [12, 4]]  # x runs first
    assert points.center_A2[8].tolist() == [4, 12]
    assert points.center_A2[31].tolist() == [60, 28]
    assert points.center_A2[32:34].tolist() == [[8, 8], [24, 8]]
    assert points.center_A2[-2:].tolist() == [[16, 16], [48, 16]]


def test_decodes_offsets_from_the_corner_of_the_cell() -> None:
    points = anchor_points((32, 64))
    raw = torch.zeros(1, 42, 7)
    raw[0, 9, :4] = torch.tensor([0.5, 0.25, math.log(3), math.log(2)])  # column 1, row 1 at stride 8
    raw[0, 41, :4] = torch.tensor([-1.0, 2.0, 0.0, math.log(0.5)])  # column 1, row 0 at stride 32
    boxes = decode_boxes(raw, points)
    assert boxes.shape == (1, 42, 4)
    torch.testing.assert_close(boxes[0, 9], torch.tensor([12 - 12.0, 10 - 8.0, 12 + 12.0, 10 + 8.0]))
    torch.testing.assert_close(boxes[0, 41], torch.tensor([0 - 16.0, 64 - 8.0, 0 + 16.0, 64 + 8.0]))
    assert decode_boxes(raw.bfloat16(), points).dtype == torch.float32


def test_inside_and_near_are_strict() -> None:
    points = anchor_points((32, 32))
    box = torch.tensor([[[4.0, 4.0, 20.0, 13.0]]])  # points of stride 8 on its left, upper and right edges
    inside = points_inside(box, points)[0, 0]
    assert points.center_A2[inside].tolist() == [[12, 12], [8, 8]]
    near = near_by(points, (12.0, 12.0), 1.0)  # neighbours are exactly one stride away
    by_stride = {stride: points.center_A2[near & (points.stride_A == stride)].tolist() for stride in (8, 16, 32)}
    assert by_stride == {8: [[12, 12]], 16: [[8, 8], [24, 8], [8, 24], [24, 24]], 32: [[16, 16]]}
    assert int(near_by(points, (12.0, 12.0), 1.001)[:16].sum()) == 9


def near_by(points: AnchorPoints, center: tuple[float, float], radius: float) -> Tensor:
    """[A] bool of one object."""
    index, near = cells_near(torch.tensor([[center]]), radius, points)
    found = torch.zeros(len(points.stride_A), dtype=torch.bool)
    found[index[0, 0][near[0, 0]]] = True
    return found
