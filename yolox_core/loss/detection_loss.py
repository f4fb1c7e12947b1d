"""The training loss of a batch whose points have been assigned.

Four parts, summed over the batch and divided by its number of positives (yolo_head.py:272-413, losses.py of
Megvii-BaseDetection/YOLOX at 6ddff48). Sums and count are kept apart, so that the division can be by the positives
of a whole global batch, however that was cut into workers and micro-batches. Only objectness looks at every point.

Legend: B images, A anchor points, G objects (padded), P positives of an image (padded), C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from yolox_core.config import LossConfig
from yolox_core.data.batch import Assignment, Targets
from yolox_core.ops import boxes
from yolox_core.ops.anchors import AnchorPoints, points_inside
from yolox_core.ops.gather import GatherIndex, gather_index

IOU_EPS = 1e-16  # losses.py:32
L1_EPS = 1e-8  # yolo_head.py get_l1_target
PART_NAMES = ("iou", "objectness", "class", "l1")


@dataclass(frozen=True)
class LossSums:
    """Weighted loss parts summed over a batch, each a 0-dim tensor, and what to divide them by."""

    parts: tuple[Tensor, Tensor, Tensor, Tensor]  # in the order of PART_NAMES
    positives: Tensor  # 0-dim float32: assigned points

    @property
    def total(self) -> Tensor:
        """The weighted sum; its gradient is to be divided by the positives of the global batch."""
        iou, objectness, class_, l1 = self.parts
        return iou + objectness + class_ + l1

    def normalised(self) -> dict[str, Tensor]:
        """The loss and its parts divided by this batch's own positives (at least 1)."""
        count = self.positives.clamp(min=1)
        values = {name: part / count for name, part in zip(PART_NAMES, self.parts, strict=True)}
        return {"total": self.total / count, **values}


def detection_loss(
    raw_BA: Tensor,
    boxes_BA4: Tensor,
    targets: Targets,
    assignment: Assignment,
    points: AnchorPoints,
    config: LossConfig | None = None,
    use_l1: bool = False,
) -> LossSums:
    """Raw predictions [B, A, 4+1+C], their decoded boxes (xyxy px) and an assignment -> loss sums.

    Computed in float32 whatever the predictions' type; L1 is 0 unless `use_l1` (the closing phase). Points inside a
    region to ignore (a crowd) count neither as object nor as background.
    """
    config = config or LossConfig()
    foreground_BA = assignment.foreground_BA
    objectness_BA = _bce(raw_BA[..., 4].float(), foreground_BA.float())
    if targets.any_ignored:
        objectness_BA = objectness_BA.masked_fill(_ignored(targets, points) & ~foreground_BA, 0.0)
    positives = gather_index(foreground_BA, assignment.most_positives)
    raw_BP, boxes_BP4 = positives.of(raw_BA).float(), positives.of(boxes_BA4)
    matched_BP4, label_BP = _matched(assignment, targets, positives)
    class_target_BPC = (
        functional.one_hot(label_BP, raw_BP.shape[-1] - 5) * positives.of(assignment.matched_iou_BA)[..., None]
    )
    class_BP = _bce(raw_BP[..., 5:], class_target_BPC).sum(dim=-1)
    l1_sum = (
        l1_loss(raw_BP, matched_BP4, points.at(positives.index_BM), positives.valid_BM)
        if use_l1
        else raw_BP.new_zeros(())
    )
    return LossSums(
        parts=(
            config.iou * iou_loss(boxes_BP4, matched_BP4, positives.valid_BM),
            config.objectness * objectness_BA.sum(),
            config.class_ * torch.where(positives.valid_BM, class_BP, 0.0).sum(),
            config.l1 * l1_sum,
        ),
        positives=foreground_BA.sum().float(),
    )


def iou_loss(boxes_BP4: Tensor, matched_BP4: Tensor, valid_BP: Tensor) -> Tensor:
    """Sum over positives of 1 - IoU^2."""
    # padding is replaced before the arithmetic: a zero times an overflow would be NaN in the gradient
    boxes_BP4 = torch.where(valid_BP[..., None], boxes_BP4, matched_BP4)
    return (1 - boxes.iou(boxes_BP4, matched_BP4, eps=IOU_EPS) ** 2).mul(valid_BP).sum()


def l1_loss(raw_BP: Tensor, matched_BP4: Tensor, points: AnchorPoints, valid_BP: Tensor) -> Tensor:
    """Sum over positives of |raw offsets and log sizes - those that would decode to the object|."""
    matched_cxcywh = boxes.xyxy_to_cxcywh(matched_BP4) / points.stride_A[..., None]
    offset = matched_cxcywh[..., :2] - points.grid_A2
    log_size = (matched_cxcywh[..., 2:] + L1_EPS).log()
    distance_BP = (raw_BP[..., :4] - torch.cat((offset, log_size), dim=-1)).abs().sum(dim=-1)
    return torch.where(valid_BP, distance_BP, 0.0).sum()


def _matched(assignment: Assignment, targets: Targets, positives: GatherIndex) -> tuple[Tensor, Tensor]:
    """The matched object's box [B, P, 4] and label [B, P]; a unit box and class 0 where padded."""
    unit = (torch.arange(4, device=targets.boxes_BG4.device) >= 2).to(targets.boxes_BG4.dtype)
    shape = positives.index_BM.shape
    if targets.boxes_BG4.shape[1] == 0:
        return unit.expand(*shape, 4), targets.labels_BG.new_zeros(shape)
    index_BP = positives.of(assignment.matched_gt_BA).clamp(min=0)
    matched_BP4 = targets.boxes_BG4.gather(1, index_BP[..., None].expand(-1, -1, 4))
    matched_BP4 = torch.where(positives.valid_BM[..., None], matched_BP4, unit)
    return matched_BP4, torch.where(positives.valid_BM, targets.labels_BG.gather(1, index_BP), 0)


def _ignored(targets: Targets, points: AnchorPoints) -> Tensor:
    """[B, A] bool: points inside a region to ignore."""
    return (points_inside(targets.boxes_BG4, points) & targets.ignore_BG[..., None]).any(dim=1)


def _bce(logits: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
