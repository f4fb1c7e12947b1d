"""SimOTA: which anchor points are positives of which object, for a whole batch at once (paper section 2.3).

Four sentences: find the candidates, price every pair, choose k for each object, give a contested point to the
cheaper object. Both published rules (`yolox-2021`: release 0.3.0; `yolox-2023`: since commit 14c62a7 of
Megvii-BaseDetection/YOLOX). Everything is float32 and nothing waits for the device.

Only candidates are priced. By the rule of 2023 an object has at most ceil(2r)^2 of its own a level, so an image with
G objects has at most 3 ceil(2r)^2 G: what assignment costs grows with the objects, not with the input. The rule of 2021
knows no such bound. Images are taken as many at a time as `PAIRS_AT_ONCE` allows, which bounds the memory.

Legend: B images, G objects (padded), A anchor points, M candidate points of an image (padded), C classes,
K candidate_topk, P picks of an image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from yolox_core.config import STRIDES, AssignConfig
from yolox_core.data.batch import Assignment, Targets
from yolox_core.ops import boxes
from yolox_core.ops.anchors import AnchorPoints, cells_near, points_inside
from yolox_core.ops.gather import GatherIndex, gather_index

# added to the cost of a pair that is not preferred (yolo_head.py: 100000.0 in 0.3.0, 1000000.0 since 14c62a7)
NOT_PREFERRED = {"yolox-2021": 1e5, "yolox-2023": 1e6}
IOU_EPS = 1e-8
LOG_FLOOR = -100.0  # torch's binary_cross_entropy clamps its logarithms here
# of an object, or a class, and a candidate. On a CPU fresh memory costs, on a GPU the number of operations
PAIRS_AT_ONCE = 1 << 21  # 8 MiB a tensor
PAIRS_AT_ONCE_ON_CUDA = 3 << 20


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
        pairs = PAIRS_AT_ONCE_ON_CUDA if raw_BA.is_cuda else PAIRS_AT_ONCE
        at_once = max(1, pairs // (most * max(objects, raw_BA.shape[2] - 5)))
        parts = [slice(start, start + at_once) for start in range(0, images, at_once)]
        return _joined([self._assign(boxes_BA4[part], raw_BA[part], targets[part], points, most) for part in parts])

    def _assign(
        self, boxes_BA4: Tensor, raw_BA: Tensor, targets: Targets, points: AnchorPoints, most: int
    ) -> Assignment:
        config = self.config
        candidates, preferred_BGM = find_candidates(targets, points, config, most)
        joint_BMC = joint_scores(candidates.of(raw_BA).float())
        excluded_BGM = (candidates.valid_BM[:, None] & targets.valid_BG[..., None]).logical_not_()
        iou_BGM = boxes.iou(targets.boxes_BG4[:, :, None], candidates.of(boxes_BA4).float()[:, None]).nan_to_num_(0.0)
        iou_BGM.masked_fill_(excluded_BGM, 0.0)
        cost_BGM = price(iou_BGM, joint_BMC, targets.labels_BG, preferred_BGM, config).masked_fill_(
            excluded_BGM, torch.inf
        )
        k_BG = choose_k(iou_BGM, config.candidate_topk)
        picks = pick(cost_BGM, k_BG, config.candidate_topk)
        owner_BP = settle(picks, cost_BGM)
        iou_BP = iou_BGM.flatten(1).gather(1, owner_BP * cost_BGM.shape[2] + picks.point_BP)
        total = raw_BA.shape[1]
        matched_BA = candidates.spread(picks.point_BP, picks.wanted_BP, owner_BP, elsewhere=-1)
        return Assignment(
            foreground_BA=matched_BA >= 0,
            matched_gt_BA=matched_BA,
            matched_iou_BA=candidates.spread(picks.point_BP, picks.wanted_BP, iou_BP, elsewhere=0.0),
            k_BG=torch.where(targets.valid_BG, k_BG, 0),
            most_positives=min(total, targets.valid_BG.shape[1] * config.candidate_topk),
        )


@dataclass(frozen=True)
class Picks:
    """The candidates that objects ask for, P = G K of them, in the order of the objects."""

    point_BP: Tensor  # int64, index into M
    object_BP: Tensor  # int64, index into G: who asks
    wanted_BP: Tensor  # bool; the others are more than their object's k, or no pair at all


def find_candidates(
    targets: Targets, points: AnchorPoints, config: AssignConfig, most: int
) -> tuple[GatherIndex, Tensor]:
    """The candidates of each image, at most `most`, and preferred_BGM.

    A candidate is near some object's centre (2021: or inside its box); one is preferred by an object if it is near its
    centre (2021: and inside its box).
    """
    index_BGN, near_BGN = cells_near(boxes.center(targets.boxes_BG4), config.center_radius, points)
    total = len(points.stride_A)
    place_BGN = torch.where(near_BGN & targets.valid_BG[..., None], index_BGN, total)
    images = len(place_BGN)
    candidate_BA = torch.zeros(images, total + 1, dtype=torch.bool, device=place_BGN.device)
    candidate_BA = candidate_BA.scatter_(1, place_BGN.reshape(images, -1), True)[:, :total]
    if config.rule == "yolox-2021":
        candidate_BA = candidate_BA | (points_inside(targets.boxes_BG4, points) & targets.valid_BG[..., None]).any(1)
    candidates = gather_index(candidate_BA, most)
    preferred_BGM = candidates.mark(place_BGN)
    if config.rule == "yolox-2021":
        preferred_BGM &= points_inside(targets.boxes_BG4, points.at(candidates.index_BM))
    return candidates, preferred_BGM


def joint_scores(raw_BM: Tensor) -> Tensor:
    """[B, M, C]: sqrt(p_class p_objectness), in the memory of `raw_BM`: fresh memory is what costs on a CPU."""
    probability_BM = raw_BM.sigmoid_()
    return probability_BM[..., 5:].mul_(probability_BM[..., 4:5]).sqrt_()


def price(iou_BGM: Tensor, joint_BMC: Tensor, labels_BG: Tensor, preferred_BGM: Tensor, config: AssignConfig) -> Tensor:
    """cost_BGM of giving a point to an object; `joint_BMC` is used up.

    The class cost is BCE(joint score, one-hot) summed over classes. It needs no class dimension: the sum over wrong
    classes is the sum over all, less the right one.
    """
    index_BGM = labels_BG[..., None].expand(-1, -1, joint_BMC.shape[1])
    present_BGM = joint_BMC.transpose(1, 2).gather(1, index_BGM)
    absent_BGM = present_BGM.neg().log1p_().clamp_(min=LOG_FLOOR)
    all_absent_BM = joint_BMC.neg_().log1p_().clamp_(min=LOG_FLOOR).sum(dim=-1)
    class_cost_BGM = absent_BGM.sub_(present_BGM.log_().clamp_(min=LOG_FLOOR)).sub_(all_absent_BM[:, None])
    log_iou_BGM = (iou_BGM + IOU_EPS).log_()
    cost_BGM = class_cost_BGM.mul_(config.class_weight).sub_(log_iou_BGM.mul_(config.iou_weight))
    return cost_BGM.add_(~preferred_BGM, alpha=NOT_PREFERRED[config.rule])


def choose_k(iou_BGM: Tensor, candidate_topk: int) -> Tensor:
    """k_BG: how many points an object gets: the floor of the sum of its largest IoUs, at least 1."""
    top = min(candidate_topk, iou_BGM.shape[-1])
    return iou_BGM.topk(top, dim=-1).values.sum(dim=-1).int().clamp(min=1)


def pick(cost_BGM: Tensor, k_BG: Tensor, candidate_topk: int) -> Picks:
    """The k cheapest points of each object. IoUs are at most 1, so k never exceeds candidate_topk."""
    most = min(candidate_topk, cost_BGM.shape[-1])
    cheapest = cost_BGM.topk(most, dim=-1, largest=False)
    wanted_BGK = (torch.arange(most, device=k_BG.device) < k_BG[..., None]) & (cheapest.values != torch.inf)
    asking_GK = torch.arange(cost_BGM.shape[1], device=k_BG.device)[:, None].expand(-1, most)
    object_BP = asking_GK.reshape(1, -1).expand(len(cost_BGM), -1)
    return Picks(cheapest.indices.flatten(1), object_BP, wanted_BGK.flatten(1))


def settle(picks: Picks, cost_BGM: Tensor) -> Tensor:
    """owner_BP: the object that gets each picked point.

    A contested point goes to the object that is cheapest for it among all of the image's objects.
    """
    images, objects, points = cost_BGM.shape
    claims_BM = cost_BGM.new_zeros(images, points).scatter_add_(1, picks.point_BP, picks.wanted_BP.float())
    contested_BP = claims_BM.gather(1, picks.point_BP) > 1
    cost_BGP = cost_BGM.gather(2, picks.point_BP[:, None].expand(-1, objects, -1))
    return torch.where(contested_BP, cost_BGP.argmin(dim=1), picks.object_BP)


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
