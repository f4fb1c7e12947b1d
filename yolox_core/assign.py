"""SimOTA: which anchor points are positives of which object, for a whole batch at once (paper section 2.3).

Four sentences: find the candidates, price every pair, choose k for each object, give a contested point to the
cheaper object. Both published rules (`yolox-2021`: release 0.3.0; `yolox-2023`: since commit 14c62a7 of
Megvii-BaseDetection/YOLOX). Everything is float32 and nothing waits for the device.

Legend: B images, G objects (padded), A anchor points, C classes, K candidate_topk.
"""

import torch
from torch import Tensor

from yolox_core import boxes
from yolox_core.anchors import AnchorPoints, points_inside, points_near
from yolox_core.config import AssignConfig
from yolox_core.structures import Assignment, Targets

# added to the cost of a pair that is not preferred (yolo_head.py: 100000.0 in 0.3.0, 1000000.0 since 14c62a7)
NOT_PREFERRED = {"yolox-2021": 1e5, "yolox-2023": 1e6}
IOU_EPS = 1e-8
LOG_FLOOR = -100.0  # torch's binary_cross_entropy clamps its logarithms here


class SimOTA:
    """Assign anchor points to objects; holds nothing but its configuration."""

    def __init__(self, config: AssignConfig | None = None) -> None:
        self.config = config or AssignConfig()

    @torch.no_grad()
    def __call__(self, boxes_BA4: Tensor, raw_BA: Tensor, targets: Targets, points: AnchorPoints) -> Assignment:
        """Decoded boxes (xyxy px), raw predictions [B, A, 4+1+C] and targets -> Assignment.

        Images without objects, objects without candidates, objects off the image and duplicates are all legal:
        an image whose objects have no candidates has no positives.
        """
        raw_BA, boxes_BA4 = raw_BA.float(), boxes_BA4.float()
        if targets.boxes_BG4.shape[1] == 0:
            return _nothing(raw_BA)
        preferred_BGA, candidate_BA = find_candidates(targets, points, self.config)
        pairs_BGA = candidate_BA[:, None] & targets.valid_BG[..., None]
        iou_BGA = boxes.iou(targets.boxes_BG4[:, :, None], boxes_BA4[:, None]).nan_to_num(0.0)
        iou_BGA = torch.where(pairs_BGA, iou_BGA, 0.0)
        cost_BGA = price(iou_BGA, raw_BA, targets.labels_BG, preferred_BGA, self.config)
        cost_BGA = torch.where(pairs_BGA, cost_BGA, torch.inf)
        k_BG = choose_k(iou_BGA, self.config.candidate_topk)
        picked_BGA = pick(cost_BGA, k_BG, self.config.candidate_topk) & pairs_BGA
        return settle(picked_BGA, cost_BGA, iou_BGA)


def find_candidates(targets: Targets, points: AnchorPoints, config: AssignConfig) -> tuple[Tensor, Tensor]:
    """preferred_BGA (the pair is near, by the rule) and candidate_BA (the point may serve some object of its image)."""
    valid_BG1 = targets.valid_BG[..., None]
    centers_BG2 = boxes.xyxy_to_cxcywh(targets.boxes_BG4)[..., :2]
    central_BGA = points_near(centers_BG2, config.center_radius, points) & valid_BG1
    if config.rule == "yolox-2023":
        return central_BGA, central_BGA.any(dim=1)
    inside_BGA = points_inside(targets.boxes_BG4, points) & valid_BG1
    return inside_BGA & central_BGA, (inside_BGA | central_BGA).any(dim=1)


def price(iou_BGA: Tensor, raw_BA: Tensor, labels_BG: Tensor, preferred_BGA: Tensor, config: AssignConfig) -> Tensor:
    """cost_BGA of giving a point to an object.

    The class cost is BCE(sqrt(p_class * p_objectness), one-hot) summed over classes. It needs no class dimension:
    the sum over wrong classes is the sum over all, less the right one.
    """
    joint_BAC = (raw_BA[..., 5:].sigmoid() * raw_BA[..., 4:5].sigmoid()).sqrt()
    absent_BAC = torch.log1p(-joint_BAC).clamp(min=LOG_FLOOR)
    present_BAC = joint_BAC.log().clamp(min=LOG_FLOOR)
    all_absent_BA = absent_BAC.sum(dim=-1)
    swap_BCA = (absent_BAC - present_BAC).transpose(1, 2)
    index_BGA = labels_BG[..., None].expand(-1, -1, raw_BA.shape[1])
    class_cost_BGA = swap_BCA.gather(1, index_BGA) - all_absent_BA[:, None]
    iou_cost_BGA = -(iou_BGA + IOU_EPS).log()
    cost_BGA = config.class_weight * class_cost_BGA + config.iou_weight * iou_cost_BGA
    return cost_BGA + NOT_PREFERRED[config.rule] * (~preferred_BGA)


def choose_k(iou_BGA: Tensor, candidate_topk: int) -> Tensor:
    """k_BG: how many points an object gets: the floor of the sum of its largest IoUs, at least 1."""
    top = min(candidate_topk, iou_BGA.shape[-1])
    return iou_BGA.topk(top, dim=-1).values.sum(dim=-1).int().clamp(min=1)


def pick(cost_BGA: Tensor, k_BG: Tensor, candidate_topk: int) -> Tensor:
    """picked_BGA: the k cheapest points of each object. IoUs are at most 1, so k never exceeds candidate_topk."""
    most = min(candidate_topk, cost_BGA.shape[-1])
    cheapest_BGK = cost_BGA.topk(most, dim=-1, largest=False).indices
    wanted_BGK = torch.arange(most, device=cost_BGA.device) < k_BG[..., None]
    return torch.zeros_like(cost_BGA, dtype=torch.bool).scatter_(-1, cheapest_BGK, wanted_BGK)


def settle(picked_BGA: Tensor, cost_BGA: Tensor, iou_BGA: Tensor) -> Assignment:
    """A contested point goes to the object that is cheapest for it among all of the image's objects."""
    claims_BA = picked_BGA.sum(dim=1)
    only_BA = picked_BGA.int().argmax(dim=1)
    cheapest_BA = cost_BGA.argmin(dim=1)
    winner_BA = torch.where(claims_BA > 1, cheapest_BA, only_BA)
    foreground_BA = claims_BA > 0
    iou_BA = iou_BGA.gather(1, winner_BA[:, None]).squeeze(1)
    return Assignment(
        foreground_BA=foreground_BA,
        matched_gt_BA=torch.where(foreground_BA, winner_BA, -1),
        matched_iou_BA=torch.where(foreground_BA, iou_BA, 0.0),
    )


def _nothing(raw_BA: Tensor) -> Assignment:
    shape = raw_BA.shape[:2]
    return Assignment(
        foreground_BA=torch.zeros(shape, dtype=torch.bool, device=raw_BA.device),
        matched_gt_BA=torch.full(shape, -1, dtype=torch.int64, device=raw_BA.device),
        matched_iou_BA=torch.zeros(shape, device=raw_BA.device),
    )
