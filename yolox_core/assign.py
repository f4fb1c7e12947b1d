"""SimOTA: which anchor points are positives of which object, for a whole batch at once (paper section 2.3).

Four sentences: find the candidates, price every pair, choose k for each object, give a contested point to the
cheaper object. Both published rules (`yolox-2021`: release 0.3.0; `yolox-2023`: since commit 14c62a7 of
Megvii-BaseDetection/YOLOX). Everything is float32 and nothing waits for the device.

Only candidates are priced. By the rule of 2023 an object has at most ceil(2r)^2 of its own a level, so an image with
G objects has at most 3 ceil(2r)^2 G: what assignment costs grows with the objects, not with the input. The rule of 2021
knows no such bound. Images are taken as many at a time as `PAIRS_AT_ONCE` allows, which bounds the memory.

Legend: B images, G objects (padded), A anchor points, M candidate points of an image (padded), C classes,
K candidate_topk.
"""

import math

import torch
from torch import Tensor

from yolox_core import boxes
from yolox_core.anchors import AnchorPoints, cells_near, points_inside, points_near
from yolox_core.compact import Compact, compact
from yolox_core.config import STRIDES, AssignConfig
from yolox_core.structures import Assignment, Targets

# added to the cost of a pair that is not preferred (yolo_head.py: 100000.0 in 0.3.0, 1000000.0 since 14c62a7)
NOT_PREFERRED = {"yolox-2021": 1e5, "yolox-2023": 1e6}
IOU_EPS = 1e-8
LOG_FLOOR = -100.0  # torch's binary_cross_entropy clamps its logarithms here
PAIRS_AT_ONCE = 1 << 21  # of an object, or a class, and a candidate: 8 MiB a tensor


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
        images, objects = targets.valid_BG.shape
        if images == 0 or objects == 0:
            return _nothing(raw_BA, objects)
        most = _most_candidates(objects, raw_BA.shape[1], self.config)
        at_once = max(1, PAIRS_AT_ONCE // (most * max(objects, raw_BA.shape[2] - 5)))
        parts = [slice(start, start + at_once) for start in range(0, images, at_once)]
        return _joined([self._assign(boxes_BA4[part], raw_BA[part], targets[part], points, most) for part in parts])

    def _assign(
        self, boxes_BA4: Tensor, raw_BA: Tensor, targets: Targets, points: AnchorPoints, most: int
    ) -> Assignment:
        config = self.config
        candidates = find_candidates(targets, points, config, most)
        near = points.at(candidates.index_BM)
        raw_BM = candidates.of(raw_BA).float()
        pairs_BGM = candidates.valid_BM[:, None] & targets.valid_BG[..., None]
        iou_BGM = boxes.iou(targets.boxes_BG4[:, :, None], candidates.of(boxes_BA4).float()[:, None]).nan_to_num_(0.0)
        iou_BGM.masked_fill_(~pairs_BGM, 0.0)
        cost_BGM = price(iou_BGM, raw_BM, targets.labels_BG, find_preferred(targets, near, config), config)
        cost_BGM.masked_fill_(~pairs_BGM, torch.inf)
        k_BG = choose_k(iou_BGM, config.candidate_topk)
        picked_BGM = pick(cost_BGM, k_BG, config.candidate_topk) & pairs_BGM
        winner_BM, matched_iou_BM = settle(picked_BGM, cost_BGM, iou_BGM)
        total = raw_BA.shape[1]
        matched_BA = candidates.spread(winner_BM, total, elsewhere=-1)
        return Assignment(
            foreground_BA=matched_BA >= 0,
            matched_gt_BA=matched_BA,
            matched_iou_BA=candidates.spread(matched_iou_BM, total, elsewhere=0.0),
            k_BG=torch.where(targets.valid_BG, k_BG, 0),
            most_positives=min(total, targets.valid_BG.shape[1] * config.candidate_topk),
        )


def find_candidates(targets: Targets, points: AnchorPoints, config: AssignConfig, most: int) -> Compact:
    """The points near some object's centre (2021: or inside its box), at most `most` an image."""
    index_BGN, near_BGN = cells_near(boxes.center(targets.boxes_BG4), config.center_radius, points)
    total = len(points.stride_A)
    place_BGN = torch.where(near_BGN & targets.valid_BG[..., None], index_BGN, total)
    images = len(place_BGN)
    candidate_BA = torch.zeros(images, total + 1, dtype=torch.bool, device=place_BGN.device)
    candidate_BA = candidate_BA.scatter_(1, place_BGN.reshape(images, -1), True)[:, :total]
    if config.rule == "yolox-2021":
        candidate_BA = candidate_BA | (points_inside(targets.boxes_BG4, points) & targets.valid_BG[..., None]).any(1)
    return compact(candidate_BA, most)


def find_preferred(targets: Targets, near: AnchorPoints, config: AssignConfig) -> Tensor:
    """preferred_BGM: the point is near the object's centre; by the rule of 2021 also inside its box."""
    preferred_BGM = points_near(boxes.center(targets.boxes_BG4), config.center_radius, near)
    if config.rule == "yolox-2021":
        preferred_BGM &= points_inside(targets.boxes_BG4, near)
    return preferred_BGM


def price(iou_BGM: Tensor, raw_BM: Tensor, labels_BG: Tensor, preferred_BGM: Tensor, config: AssignConfig) -> Tensor:
    """cost_BGM of giving a point to an object.

    The class cost is BCE(sqrt(p_class * p_objectness), one-hot) summed over classes. It needs no class dimension:
    the sum over wrong classes is the sum over all, less the right one.
    """
    joint_BMC = (raw_BM[..., 5:].sigmoid() * raw_BM[..., 4:5].sigmoid()).sqrt_()
    absent_BMC = torch.log1p(-joint_BMC).clamp_(min=LOG_FLOOR)
    all_absent_BM = absent_BMC.sum(dim=-1)
    swap_BMC = absent_BMC.sub_(joint_BMC.log_().clamp_(min=LOG_FLOOR))
    index_BGM = labels_BG[..., None].expand(-1, -1, raw_BM.shape[1])
    class_cost_BGM = swap_BMC.transpose(1, 2).gather(1, index_BGM).sub_(all_absent_BM[:, None])
    iou_cost_BGM = (iou_BGM + IOU_EPS).log_().neg_()
    cost_BGM = class_cost_BGM.mul_(config.class_weight).add_(iou_cost_BGM.mul_(config.iou_weight))
    return cost_BGM.add_(~preferred_BGM, alpha=NOT_PREFERRED[config.rule])


def choose_k(iou_BGM: Tensor, candidate_topk: int) -> Tensor:
    """k_BG: how many points an object gets: the floor of the sum of its largest IoUs, at least 1."""
    top = min(candidate_topk, iou_BGM.shape[-1])
    return iou_BGM.topk(top, dim=-1).values.sum(dim=-1).int().clamp(min=1)


def pick(cost_BGM: Tensor, k_BG: Tensor, candidate_topk: int) -> Tensor:
    """picked_BGM: the k cheapest points of each object. IoUs are at most 1, so k never exceeds candidate_topk."""
    most = min(candidate_topk, cost_BGM.shape[-1])
    cheapest_BGK = cost_BGM.topk(most, dim=-1, largest=False).indices
    wanted_BGK = torch.arange(most, device=cost_BGM.device) < k_BG[..., None]
    return torch.zeros_like(cost_BGM, dtype=torch.bool).scatter_(-1, cheapest_BGK, wanted_BGK)


def settle(picked_BGM: Tensor, cost_BGM: Tensor, iou_BGM: Tensor) -> tuple[Tensor, Tensor]:
    """The object of each point, -1 for none, and the IoU with it.

    A contested point goes to the object that is cheapest for it among all of the image's objects.
    """
    claims_BM = picked_BGM.sum(dim=1)
    only_BM = picked_BGM.int().argmax(dim=1)
    winner_BM = torch.where(claims_BM > 1, cost_BGM.argmin(dim=1), only_BM)
    iou_BM = iou_BGM.gather(1, winner_BM[:, None]).squeeze(1)
    taken_BM = claims_BM > 0
    return torch.where(taken_BM, winner_BM, -1), torch.where(taken_BM, iou_BM, 0.0)


def _most_candidates(objects: int, points: int, config: AssignConfig) -> int:
    """How many candidates an image with so many objects can have."""
    if config.rule == "yolox-2021":
        return points
    return min(points, objects * len(STRIDES) * math.ceil(2 * config.center_radius) ** 2)


def _nothing(raw_BA: Tensor, objects: int) -> Assignment:
    shape = raw_BA.shape[:2]
    return Assignment(
        foreground_BA=torch.zeros(shape, dtype=torch.bool, device=raw_BA.device),
        matched_gt_BA=torch.full(shape, -1, dtype=torch.int64, device=raw_BA.device),
        matched_iou_BA=torch.zeros(shape, device=raw_BA.device),
        k_BG=torch.zeros(shape[0], objects, dtype=torch.int32, device=raw_BA.device),
        most_positives=0,
    )


def _joined(parts: list[Assignment]) -> Assignment:
    """The assignments of neighbouring images, as one."""
    if len(parts) == 1:
        return parts[0]
    return Assignment(
        foreground_BA=torch.cat([part.foreground_BA for part in parts]),
        matched_gt_BA=torch.cat([part.matched_gt_BA for part in parts]),
        matched_iou_BA=torch.cat([part.matched_iou_BA for part in parts]),
        k_BG=torch.cat([part.k_BG for part in parts]),
        most_positives=parts[0].most_positives,
    )
