"""SimOTA gives exactly the reference's assignment on the golden situations."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.needs import shared_folder
from yolox_core.anchors import anchor_points
from yolox_core.assign import SimOTA
from yolox_core.boxes import cxcywh_to_xyxy
from yolox_core.config import AssignConfig, AssignRule
from yolox_core.structures import Targets

NAMES = ["0_plain", "1_plain", "2_with-empty", "3_crowded", "4_tiny", "5_huge"]


@pytest.mark.parametrize("radius", [1.5, 2.5])
@pytest.mark.parametrize("rule", ["yolox-2021", "yolox-2023"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_reference(name: str, rule: AssignRule, radius: float) -> None:
    golden = np.load(shared_folder("golden") / f"assign_{name}.npz")
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
    got = SimOTA(AssignConfig(rule=rule, center_radius=radius))(predicted, raw, targets, anchor_points((side, side)))
    expected = {
        key: torch.from_numpy(golden[f"{rule}/r{radius}/{key}"]) for key in ("foreground", "matched_gt", "matched_iou")
    }
    assert torch.equal(got.foreground_BA, expected["foreground"])
    assert torch.equal(got.matched_gt_BA, expected["matched_gt"])
    torch.testing.assert_close(got.matched_iou_BA, expected["matched_iou"], atol=1e-5, rtol=0)


def test_folder_is_complete() -> None:
    folder: Path = shared_folder("golden")
    assert sorted(path.stem for path in folder.glob("assign_*.npz")) == [f"assign_{name}" for name in NAMES]
