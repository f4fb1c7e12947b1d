"""Assignment health: how SimOTA serves the objects, by their size, by level, and how many points they ask for.

The reference's maintainers tell users to look at this when training stalls. Counts are summed on the device step by
step and read once an epoch. Legend: B images, G objects (padded), A anchor points.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from yolox_core.config import STRIDES
from yolox_core.data.batch import Assignment, Targets
from yolox_core.loss.assign_counts import MOST_K, SIZE_BOUNDS_PX2, SIZES
from yolox_core.ops import boxes
from yolox_core.ops.anchors import AnchorPoints


@torch.no_grad()
def assignment_counts(assignment: Assignment, targets: Targets, points: AnchorPoints) -> Tensor:
    """[len(COUNTS)] float32: what COUNTS names, summed over the batch; does not wait for the device."""
    matched_BA, foreground_BA = assignment.matched_gt_BA, assignment.foreground_BA
    objects = targets.valid_BG.shape[1]
    place_BA = torch.where(foreground_BA, matched_BA, objects)
    served_BG = foreground_BA.new_zeros(len(place_BA), objects + 1, dtype=torch.float32)
    served_BG = served_BG.scatter_add_(1, place_BA, foreground_BA.float())[:, :objects]
    area_BG = boxes.area(targets.boxes_BG4)
    size_BG = torch.stack([area_BG >= bound for bound in SIZE_BOUNDS_PX2]).sum(dim=0)
    of_size_3BG = torch.stack([size_BG == index for index in range(len(SIZES))]) & targets.valid_BG
    on_level_3A = torch.stack([points.stride_A == stride for stride in STRIDES])
    k_BG = assignment.k_BG.clamp(max=MOST_K)
    return torch.cat(
        (
            of_size_3BG.sum(dim=(1, 2)),
            (of_size_3BG & (served_BG == 0)).sum(dim=(1, 2)),
            (of_size_3BG * served_BG).sum(dim=(1, 2)),
            (on_level_3A[:, None] & foreground_BA).sum(dim=(1, 2)),
            torch.stack([(k_BG == k).sum() for k in range(1, MOST_K + 1)]),
        )
    ).float()


def health(counts: Mapping[str, float]) -> dict[str, float]:
    """Sums by the names of COUNTS -> metrics; a size, or an epoch, without objects has none."""
    metrics = _service("", sum(counts[f"objects/{size}"] for size in SIZES), counts, SIZES)
    for size in SIZES:
        metrics |= _service(f"/{size}", counts[f"objects/{size}"], counts, (size,))
    for name, numbers in (("level", STRIDES), ("k", range(1, MOST_K + 1))):
        total = sum(counts[f"{name}/{number}"] for number in numbers)
        if total:
            metrics |= {f"assign/{name}/{number}": counts[f"{name}/{number}"] / total for number in numbers}
    return metrics


def _service(suffix: str, objects: float, counts: Mapping[str, float], sizes: tuple[str, ...]) -> dict[str, float]:
    if not objects:
        return {}
    return {
        f"assign/positives_per_object{suffix}": sum(counts[f"positives/{size}"] for size in sizes) / objects,
        f"assign/unmatched{suffix}": sum(counts[f"unmatched/{size}"] for size in sizes) / objects,
    }
