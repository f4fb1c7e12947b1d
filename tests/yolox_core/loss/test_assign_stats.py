"""Assignment health against counting by hand, object by object."""

import numpy as np
import pytest
import torch

from tests.yolox_core.loss.test_simota import SIZE, draw, fast
from yolox_core.config import STRIDES, AssignConfig
from yolox_core.loss.assign_counts import COUNTS, SIZES
from yolox_core.loss.assign_stats import assignment_counts, health
from yolox_core.ops.anchors import anchor_points

POINTS = anchor_points(SIZE)


def size_of(box: list[float]) -> str:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return SIZES[int(area >= 32**2) + int(area >= 96**2)]


@pytest.mark.parametrize("kind", ["none", "some", "crowd", "tiny", "huge", "off the image"])
def test_counts_are_those_counted_one_by_one(kind: str) -> None:
    scene = draw(np.random.default_rng(3), kind, extreme=False, duplicates=False)
    targets, assignment = scene[2], fast(scene, AssignConfig())
    expected = dict.fromkeys(COUNTS, 0.0)
    for image, row in enumerate(assignment.matched_gt_BA.tolist()):
        for index in targets.valid_BG[image].nonzero().flatten().tolist():
            size, served = size_of(targets.boxes_BG4[image, index].tolist()), row.count(index)
            expected[f"objects/{size}"] += 1
            expected[f"positives/{size}"] += served
            expected[f"unmatched/{size}"] += served == 0
            expected[f"k/{min(10, int(assignment.k_BG[image, index]))}"] += 1
        for stride, matched in zip(POINTS.stride_A.tolist(), row, strict=True):
            expected[f"level/{int(stride)}"] += matched >= 0
    got = assignment_counts(assignment, targets, POINTS)
    assert dict(zip(COUNTS, got.tolist(), strict=True)) == expected


def test_metrics_are_shares_and_leave_out_what_does_not_occur() -> None:
    counts = dict.fromkeys(COUNTS, 0.0)
    assert health(counts) == {}
    counts |= {"objects/small": 4, "unmatched/small": 1, "positives/small": 6, "level/8": 6, "k/1": 3, "k/2": 1}
    metrics = health(counts)
    assert metrics["assign/positives_per_object"] == metrics["assign/positives_per_object/small"] == 1.5
    assert metrics["assign/unmatched"] == 0.25
    assert "assign/unmatched/large" not in metrics
    assert [metrics[f"assign/level/{stride}"] for stride in STRIDES] == [1.0, 0.0, 0.0]
    assert sum(metrics[f"assign/k/{k}"] for k in range(1, 11)) == 1.0


def test_nothing_is_lost_when_nothing_is_ignored() -> None:
    """An object to be found is of some size, served or unmatched."""
    scene = draw(np.random.default_rng(8), "some", extreme=False, duplicates=True)
    counts = dict(zip(COUNTS, assignment_counts(fast(scene, AssignConfig()), scene[2], POINTS).tolist(), strict=True))
    assert sum(counts[f"objects/{size}"] for size in SIZES) == int(scene[2].valid_BG.sum())
    assert torch.isfinite(torch.tensor(list(counts.values()))).all()
