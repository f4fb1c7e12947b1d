"""SimOTA gives exactly the reference's assignment on the golden situations; where costs tie, any choice is right."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.needs import GOLDEN
from yolox_core.config import AssignConfig, AssignRule
from yolox_core.data.batch import Targets
from yolox_core.loss.simota import SimOTA, find_candidates, joint_scores, price
from yolox_core.ops.anchors import AnchorPoints, anchor_points
from yolox_core.ops.boxes import cxcywh_to_xyxy, iou

NAMES = ["0_plain", "1_plain", "2_with-empty", "3_crowded", "4_tiny", "5_huge"]
LEAST_SAME = 0.999  # of all points; the others must be ties


@pytest.mark.parametrize("radius", [1.5, 2.5])
@pytest.mark.parametrize("rule", ["yolox-2021", "yolox-2023"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_reference(name: str, rule: AssignRule, radius: float) -> None:
    golden = np.load(GOLDEN / f"assign_{name}.npz")
    raw = torch.cat(
        [
            torch.zeros_like(torch.from_numpy(golden["pred_boxes_cxcywh"])),
            torch.from_numpy(golden["obj_logits"])[..., None],
            torch.from_numpy(golden["cls_logits"]),
        ],
        dim=-1,
    )
    valid = torch.from_numpy(golden["gt_valid"])
    targets = Targets(
        boxes_BG4=cxcywh_to_xyxy(torch.from_numpy(golden["gt_boxes_cxcywh"])),
        labels_BG=torch.from_numpy(golden["gt_labels"]),
        valid_BG=valid,
        ignore_BG=torch.zeros_like(valid),
    )
    side = int(golden["input_size"])
    predicted = cxcywh_to_xyxy(torch.from_numpy(golden["pred_boxes_cxcywh"]))
    config, points = AssignConfig(rule=rule, center_radius=radius), anchor_points((side, side))
    got = SimOTA(config)(predicted, raw, targets, points)
    matched_gt = torch.from_numpy(golden[f"{rule}/r{radius}/matched_gt"])
    assert torch.equal(matched_gt >= 0, torch.from_numpy(golden[f"{rule}/r{radius}/foreground"]))
    assert torch.equal(got.matched_gt_BA >= 0, got.foreground_BA)
    same = got.matched_gt_BA == matched_gt
    assert same.float().mean() > LEAST_SAME
    for image in (~same).any(dim=1).nonzero().flatten().tolist():
        cost_GA = cost_of(image, predicted, raw, targets, points, config)
        assert prices_paid(cost_GA, got.matched_gt_BA[image]) == prices_paid(cost_GA, matched_gt[image])
    expected_iou = torch.from_numpy(golden[f"{rule}/r{radius}/matched_iou"])
    torch.testing.assert_close(got.matched_iou_BA[same], expected_iou[same], atol=1e-5, rtol=0)


def cost_of(
    image: int, predicted: Tensor, raw: Tensor, targets: Targets, points: AnchorPoints, config: AssignConfig
) -> Tensor:
    """[G, A] cost of every pair of one image, in the single precision that decides what ties."""
    one = slice(image, image + 1)
    iou_BGA = iou(targets.boxes_BG4[one, :, None], predicted[one, None]).nan_to_num(0.0)
    candidates, preferred_BGM = find_candidates(targets[one], points, config, most=len(points.stride_A))
    preferred_BGA = torch.zeros_like(iou_BGA, dtype=torch.bool)
    preferred_BGA[..., candidates.index_BM[0]] = preferred_BGM & candidates.valid_BM
    return price(iou_BGA, joint_scores(raw[one].clone()), targets.labels_BG[one], preferred_BGA, config)[0]


def prices_paid(cost_GA: Tensor, matched_A: Tensor) -> list[list[float]]:
    """What each object's points cost it, cheapest first: the same for two assignments that differ in ties alone."""
    return [sorted(cost_GA[index, matched_A == index].tolist()) for index in range(len(cost_GA))]


def test_folder_is_complete() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("assign_*.npz")) == [f"assign_{name}" for name in NAMES]
