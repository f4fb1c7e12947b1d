"""The losses: a case worked out by hand, the corners, and that a batch may be cut anywhere."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolox_core.config import LossConfig
from yolox_core.data.batch import Assignment, Targets
from yolox_core.loss.detection_loss import PART_NAMES, LossSums, detection_loss
from yolox_core.loss.simota import SimOTA
from yolox_core.ops.anchors import anchor_points, decode_boxes

SIZE = (32, 32)  # 21 points
POINTS = anchor_points(SIZE)
CLASSES = 2


def targets_of(boxes: list[list[float]], labels: list[int] | None = None, ignore: list[bool] | None = None) -> Targets:
    """One image's objects."""
    count = len(boxes)
    ignored = torch.tensor([ignore or [False] * count], dtype=torch.bool)
    return Targets(
        torch.tensor([boxes], dtype=torch.float32).reshape(1, count, 4),
        torch.tensor([labels or [0] * count], dtype=torch.int64),
        ~ignored,
        ignored,
    )


def assignment_of(matches: dict[int, tuple[int, float]]) -> Assignment:
    """point -> object and IoU; one image."""
    matched, iou = torch.full((1, 21), -1), torch.zeros(1, 21)
    for point, (index, value) in matches.items():
        matched[0, point], iou[0, point] = index, value
    return Assignment(matched >= 0, matched, iou, torch.zeros(1, 0, dtype=torch.int32), most_positives=21)


def loss(raw: Tensor, targets: Targets, assignment: Assignment | None = None, use_l1: bool = False) -> LossSums:
    boxes = decode_boxes(raw, POINTS)
    assignment = assignment or SimOTA()(boxes.detach(), raw.detach(), targets, POINTS)
    return detection_loss(raw, boxes, targets, assignment, POINTS, use_l1=use_l1)


def parts_of(sums: LossSums) -> dict[str, float]:
    return {name: float(part.detach()) for name, part in zip(PART_NAMES, sums.parts, strict=True)}


def by_hand() -> tuple[Tensor, Targets, Assignment]:
    """Point 5 (cell 1, 1 of stride 8) predicts the upper half of its object: IoU 1/2."""
    raw = torch.zeros(1, 21, 5 + CLASSES)
    raw[0, 5] = torch.tensor([1.0, 0.5, math.log(2), 0.0, math.log(4), math.log(3), -math.log(3)])
    return raw, targets_of([[8.0, 8.0, 24.0, 24.0]], [0]), assignment_of({5: (0, 0.5)})


@pytest.mark.parametrize("use_l1", [False, True])
def test_by_hand(use_l1: bool) -> None:
    sums = loss(*by_hand(), use_l1=use_l1)
    expected = {
        "iou": 5 * (1 - 0.5**2),
        "objectness": 20 * math.log(2) - math.log(0.8),  # 20 backgrounds at 1/2, one object at 4/5
        "class": -(0.5 * math.log(0.75) + 0.5 * math.log(0.25)) - math.log(0.75),  # targets 1/2 and 0
        "l1": 0.5 + math.log(2) if use_l1 else 0.0,  # half a cell too high, half as high
    }
    assert parts_of(sums) == pytest.approx(expected, rel=1e-5)
    assert float(sums.total) == pytest.approx(sum(expected.values()), rel=1e-5)
    assert float(sums.positives) == 1.0


def test_weights_and_normalising() -> None:
    raw, targets, _ = by_hand()
    assignment = assignment_of({5: (0, 0.5), 6: (0, 0.25), 9: (0, 0.25)})
    boxes = decode_boxes(raw, POINTS)
    plain = detection_loss(raw, boxes, targets, assignment, POINTS, LossConfig(1, 1, 1, 1), use_l1=True)
    config = LossConfig(iou=2, objectness=3, class_=5, l1=7)
    weighted = detection_loss(raw, boxes, targets, assignment, POINTS, config, use_l1=True)
    factors = dict(zip(PART_NAMES, (2, 3, 5, 7), strict=True))
    assert parts_of(weighted) == pytest.approx({name: factors[name] * part for name, part in parts_of(plain).items()})
    normalised = {name: float(value) for name, value in weighted.normalised().items()}
    assert normalised.pop("total") == pytest.approx(float(weighted.total) / 3)
    assert normalised == pytest.approx({name: part / 3 for name, part in parts_of(weighted).items()})


@pytest.mark.parametrize(
    "targets",
    [targets_of([]), replace(targets_of([[8.0, 8.0, 24.0, 24.0]]), valid_BG=torch.tensor([[False]]))],
    ids=["none", "padding"],
)
def test_without_objects_only_objectness(targets: Targets) -> None:
    raw = torch.zeros(1, 21, 5 + CLASSES, requires_grad=True)
    sums = loss(raw, targets, use_l1=True)
    parts = parts_of(sums)
    assert parts.pop("objectness") == pytest.approx(21 * math.log(2))
    assert parts == {"iou": 0.0, "class": 0.0, "l1": 0.0}
    assert float(sums.positives) == 0.0
    assert float(sums.normalised()["total"].detach()) == pytest.approx(21 * math.log(2))  # divided by 1, not by 0
    sums.total.backward()
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad[..., 4], torch.full((1, 21), 0.5))
    assert (raw.grad[..., :4] == 0).all() and (raw.grad[..., 5:] == 0).all()


@pytest.mark.parametrize("value", [200.0, -200.0, 1e4, -1e4])
def test_overflow_in_the_background_leaves_gradients_finite(value: float) -> None:
    """exp(200) is infinite in float32; a zero times its gradient would be NaN."""
    raw, targets, assignment = by_hand()
    raw[0, 6:] = value
    raw.requires_grad_()
    sums = loss(raw, targets, assignment, use_l1=True)
    sums.total.backward()
    assert math.isfinite(float(sums.total.detach()))
    assert raw.grad is not None and torch.isfinite(raw.grad).all()
    assert (raw.grad[0, 5, 1:] != 0).all()  # sideways the box is in the middle already


def test_points_in_an_ignored_region_are_not_background() -> None:
    raw, region = torch.zeros(1, 21, 5 + CLASSES, requires_grad=True), [0.0, 0.0, 16.0, 16.0]
    sums = loss(raw, targets_of([region], ignore=[True]))
    sums.total.backward()
    assert raw.grad is not None
    x, y = POINTS.center_A2.unbind(dim=1)
    within = (x < 16) & (y < 16)
    assert int(within.sum()) == 5  # four of stride 8 and one of stride 16; that of stride 32 lies on the corner
    assert torch.equal(raw.grad[0, :, 4] == 0, within)
    assert parts_of(sums)["objectness"] == pytest.approx(16 * math.log(2))


def test_a_positive_in_an_ignored_region_counts() -> None:
    raw, targets, assignment = by_hand()
    alone = parts_of(loss(raw, targets, assignment))
    with_region = targets_of([[8.0, 8.0, 24.0, 24.0], [8.0, 8.0, 16.0, 16.0]], [0, 0], [False, True])
    assert parts_of(loss(raw, with_region, assignment)) == pytest.approx(alone)  # point 5 is all that lies in it


def random_batch(count: int) -> tuple[Tensor, Targets]:
    generator = torch.Generator().manual_seed(8)
    raw = torch.randn(count, 21, 5 + CLASSES, generator=generator)
    low = torch.rand(count, 3, 2, generator=generator) * 20
    boxes = torch.cat((low, low + 4 + torch.rand(count, 3, 2, generator=generator) * 20), dim=-1)
    labels = torch.randint(0, CLASSES, (count, 3), generator=generator)
    valid = torch.rand(count, 3, generator=generator) < 0.6
    valid[0] = False  # one image has nothing
    valid[1] = True
    ignore = ~valid & (torch.rand(count, 3, generator=generator) < 0.5)
    return raw, Targets(boxes, labels, valid, ignore)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_parts_of_a_batch_add_up_to_the_whole(cut: int) -> None:
    """What lets a step be cut into workers and micro-batches: sums, counts and gradients all add up."""
    raw, targets = random_batch(5)
    raw.requires_grad_()
    whole = loss(raw, targets, use_l1=True)
    assert float(whole.positives) > 3
    (expected,) = torch.autograd.grad(whole.total, raw)
    added = dict.fromkeys((*PART_NAMES, "positives"), 0.0)
    gradients = []
    for rows in (slice(0, cut), slice(cut, 5)):
        piece = raw[rows].detach().requires_grad_()
        fields = (targets.boxes_BG4, targets.labels_BG, targets.valid_BG, targets.ignore_BG)
        sums = loss(piece, Targets(*(field[rows] for field in fields)), use_l1=True)
        gradients += torch.autograd.grad(sums.total, piece)
        here = {**parts_of(sums), "positives": float(sums.positives)}
        added = {name: added[name] + value for name, value in here.items()}
    assert added == pytest.approx({**parts_of(whole), "positives": float(whole.positives)}, rel=1e-5)
    torch.testing.assert_close(torch.cat(gradients), expected, rtol=1e-5, atol=1e-6)


def test_float32_whatever_the_predictions() -> None:
    raw, targets = random_batch(3)
    half = raw.bfloat16()
    assert parts_of(loss(half, targets)) == parts_of(loss(half.float(), targets))
    assert all(part.dtype == torch.float32 for part in loss(half, targets).parts)
