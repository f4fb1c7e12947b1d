"""Box arithmetic on numbers worked out by hand."""

import math

import pytest
import torch

from yolox_core.ops.boxes import area, cxcywh_to_xyxy, intersection, iou, xyxy_to_cxcywh

UNIT = torch.tensor([0.0, 0.0, 2.0, 2.0])


def test_forms_turn_into_each_other() -> None:
    corners, centered = torch.tensor([10.0, 20.0, 30.0, 60.0]), torch.tensor([20.0, 40.0, 20.0, 40.0])
    assert torch.equal(cxcywh_to_xyxy(centered), corners)
    assert torch.equal(xyxy_to_cxcywh(corners), centered)
    boxes = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)) * 100
    torch.testing.assert_close(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ([1.0, 1.0, 3.0, 3.0], 1.0),
        ([0.5, 0.5, 1.0, 1.5], 0.5),  # within
        ([2.0, 0.0, 4.0, 2.0], 0.0),  # touching
        ([5.0, 5.0, 6.0, 6.0], 0.0),  # apart on both axes: two negative overlaps must not make a positive area
        ([0.0, 9.0, 2.0, 10.0], 0.0),  # apart on one
    ],
)
def test_overlap(other: list[float], shared: float) -> None:
    box = torch.tensor(other)
    assert float(intersection(UNIT, box)) == float(intersection(box, UNIT)) == shared
    expected = shared / (4 + float(area(box)) - shared)
    assert float(iou(UNIT, box)) == float(iou(box, UNIT)) == pytest.approx(expected)


def test_broadcasts() -> None:
    boxes = cxcywh_to_xyxy(torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(1)) + 0.1)
    pairs = iou(boxes[:, :, None], boxes[:, None])
    assert pairs.shape == (2, 4, 4)
    assert torch.equal(pairs.diagonal(dim1=1, dim2=2), torch.ones(2, 4))
    assert torch.equal(pairs, pairs.transpose(1, 2))


def test_without_area() -> None:
    nothing = torch.zeros(4)
    assert math.isnan(float(iou(nothing, nothing)))
    assert float(iou(nothing, nothing, eps=1e-16)) == 0.0
    assert float(iou(nothing, UNIT)) == 0.0
