"""SimOTA written out: loops over images, objects and points, in double precision, after YOLOX.md section 4.

Slow and obvious on purpose. It also says by how much its closest decision was taken: where costs nearly tie, single
precision may rightly decide otherwise, and a test should draw another case.
"""

import math
from dataclasses import dataclass

STRIDES = (8, 16, 32)
PENALTY = {"yolox-2021": 1e5, "yolox-2023": 1e6}
Box = tuple[float, float, float, float]


@dataclass
class SlowAssignment:
    """For each point of one image: the object (-1: background) and the IoU with it."""

    matched: list[int]
    iou: list[float]
    margin: float  # smallest gap of any decision, in units of what single precision can tell apart; inf: none


def points_of(size: tuple[int, int]) -> list[tuple[float, float, int]]:
    """(x, y, stride) of every point of an input (height, width)."""
    return [
        ((column + 0.5) * stride, (row + 0.5) * stride, stride)
        for stride in STRIDES
        for row in range(size[0] // stride)
        for column in range(size[1] // stride)
    ]


def slow_simota(
    objects: dict[int, tuple[Box, int]],  # index -> box, label; only those to be found
    predicted: list[Box],
    objectness: list[float],  # logits
    classes: list[list[float]],  # logits
    size: tuple[int, int],
    rule: str,
    radius: float,
    topk: int,
    class_weight: float,
    iou_weight: float,
) -> SlowAssignment:
    points = points_of(size)
    preferred, candidates = find_candidates(objects, points, rule, radius)
    result = SlowAssignment([-1] * len(points), [0.0] * len(points), math.inf)
    if not candidates:
        return result

    labels = {label for _, label in objects.values()}
    of_class = {(label, at): class_cost(classes[at], objectness[at], label) for label in labels for at in candidates}
    iou, cost = {}, {}
    for index, (box, label) in objects.items():
        for at in candidates:
            iou[index, at] = overlap(box, predicted[at])
            price = class_weight * of_class[label, at]
            price -= iou_weight * math.log(iou[index, at] + 1e-8)
            cost[index, at] = price if preferred[index, at] else price + PENALTY[rule]

    claims: dict[int, list[int]] = {at: [] for at in candidates}
    for index in objects:
        total = sum(sorted((iou[index, at] for at in candidates), reverse=True)[:topk])
        if total != round(total) and round(total) >= 2:  # a whole sum of whole IoUs is exact in either precision
            result.margin = min(result.margin, abs(total - round(total)) / 1e-5)
        k = max(1, int(total))
        by_cost = [at for _, at in sorted((cost[index, at], at) for at in candidates)]
        for at in by_cost[:k]:
            claims[at].append(index)
        if k < len(by_cost):
            result.margin = min(result.margin, gap(cost[index, by_cost[k - 1]], cost[index, by_cost[k]]))

    for at, claimants in claims.items():
        if not claimants:
            continue
        winner = claimants[0]
        if len(claimants) > 1:
            by_cost = [index for _, index in sorted((cost[index, at], index) for index in objects)]
            winner = by_cost[0]
            rivals = [index for index in by_cost if objects[index] != objects[winner]]  # equal objects always tie
            if rivals:
                result.margin = min(result.margin, gap(cost[winner, at], cost[rivals[0], at]))
        result.matched[at], result.iou[at] = winner, iou[winner, at]
    return result


def find_candidates(
    objects: dict[int, tuple[Box, int]], points: list[tuple[float, float, int]], rule: str, radius: float
) -> tuple[dict[tuple[int, int], bool], list[int]]:
    """Whether a pair of object and point is preferred; and the points that are some object's candidate."""
    preferred: dict[tuple[int, int], bool] = {}
    candidates: list[int] = []
    for at, (x, y, stride) in enumerate(points):
        is_candidate = False
        for index, (box, _) in objects.items():
            inside = box[0] < x < box[2] and box[1] < y < box[3]
            middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            near = abs(x - middle_x) < radius * stride and abs(y - middle_y) < radius * stride
            preferred[index, at] = (inside and near) if rule == "yolox-2021" else near
            is_candidate |= (inside or near) if rule == "yolox-2021" else near
        if is_candidate:
            candidates.append(at)
    return preferred, candidates


def gap(low: float, high: float) -> float:
    """How far two costs are apart, in units of what single precision loses on numbers of that size."""
    return (high - low) / max(3e-5, abs(high) * 2**-23)


def overlap(first: Box, second: Box) -> float:
    """IoU; 0 for boxes without area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1]) - shared
    return shared / union if union > 0 else 0.0


def class_cost(logits: list[float], objectness: float, label: int) -> float:
    """BCE of sqrt(class probability x objectness) against the one-hot label, summed over classes."""
    total = 0.0
    for index, logit in enumerate(logits):
        joint = math.sqrt(sigmoid(logit) * sigmoid(objectness))
        likelihood = joint if index == label else 1 - joint
        total -= max(math.log(likelihood), -100.0) if likelihood > 0 else -100.0
    return total


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
