"""SimOTA for a batch: time and extra memory, beside the reference's loop over images, on the same predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import reference as checkout
from benchmarks.timing import alternate, hardware, seconds
from yolox_core.config import AssignConfig
from yolox_core.data.batch import Assignment, Targets
from yolox_core.loss.simota import SimOTA
from yolox_core.ops.anchors import AnchorPoints, anchor_points
from yolox_core.ops.boxes import xyxy_to_cxcywh

SIZE = (640, 640)
CLASSES = 80
ROUNDS = 9
Scene = tuple[Tensor, Tensor, Targets, AnchorPoints]  # boxes, raw predictions, targets, points


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`assignment_speedup` on 32 images (64 on CUDA) of up to 20 objects; memory on 16 of 200."""
    images = 64 if device == "cuda" else 32
    result: dict[str, Any] = {"hardware": hardware(device), "images": images, "objects": "1 to 20", "classes": CLASSES}
    scene = draw(images, (1, 20), device)
    crowd = draw(16, (200, 200), device)
    ours = SimOTA(AssignConfig("yolox-2023"))
    if reference is None:
        result["ours_s"] = min(seconds(lambda: ours(*scene), device) for _ in range(ROUNDS))
        return result
    result["reference"] = checkout.use(reference)
    head = _head(device)
    theirs, theirs_crowded = their_way(head, scene), their_way(head, crowd)
    result["plain_mismatches"] = mismatches(ours(*scene), theirs())
    result["crowded_mismatches"] = mismatches(ours(*crowd), theirs_crowded())
    pair = alternate(lambda: ours(*scene), theirs, ROUNDS, device)
    result |= {"assignment_speedup": pair.speedup, **pair.row()}
    crowded = alternate(lambda: ours(*crowd), theirs_crowded, 3, device)
    result |= {"assignment_speedup_crowded": crowded.speedup, "crowded": crowded.row()}
    own, other = extra_memory(lambda: ours(*crowd), device), extra_memory(theirs_crowded, device)
    return result | {"ours_extra_mib": own, "reference_extra_mib": other, "assignment_memory_ratio": own / other}


def draw(images: int, objects: tuple[int, int], device: str, seed: int = 0) -> Scene:
    """Random objects, and predictions as half-way through training: every third point sees an object near it."""
    rng = np.random.default_rng(seed)
    points = anchor_points(SIZE)
    most, total = objects[1], len(points.stride_A)
    sides = np.exp(rng.uniform(np.log(12), np.log(300), (images, most, 2)))
    centers = rng.uniform(0, SIZE[0], (images, most, 2))
    boxes = np.concatenate((centers - sides / 2, centers + sides / 2), -1)
    valid = np.arange(most) < rng.integers(objects[0], most + 1, images)[:, None]
    anchors = points.center_A2.numpy()
    size = np.exp(rng.uniform(np.log(10), np.log(300), (images, total, 2)))
    predicted = np.concatenate((anchors - size / 2, anchors + size / 2), -1)
    distance = np.abs(centers[:, :, None] - anchors[None, None]).max(-1) + 1e6 * ~valid[..., None]
    nearest = np.take_along_axis(boxes, distance.argmin(1)[..., None], 1)
    predicted[:, ::3] = (nearest + rng.normal(0, 6, nearest.shape))[:, ::3]
    raw = rng.normal(-2, 2, (images, total, 5 + CLASSES))
    targets = Targets(
        torch.from_numpy(boxes).float(),
        torch.from_numpy(rng.integers(0, CLASSES, (images, most))),
        torch.from_numpy(valid),
        torch.zeros(images, most, dtype=torch.bool),
    )
    there = torch.device(device)
    return (
        torch.from_numpy(predicted).float().to(there),
        torch.from_numpy(raw).float().to(there),
        targets.to(there),
        anchor_points(SIZE, there),
    )


def _head(device: str) -> Any:
    from yolox.models.yolo_head import YOLOXHead

    return YOLOXHead(CLASSES, 0.25).to(device)


def their_way(head: Any, scene: Scene) -> Callable[[], list[tuple[Tensor, Tensor, Tensor]]]:
    """What YOLOXHead.get_losses does to assign: a loop over images; (foreground, matched object, IoU) of each.

    Its own forms of boxes and points are made here, once: they are not what is timed.
    """
    boxes_BA4, raw_BA, targets, points = scene
    boxes, targets_cxcywh = xyxy_to_cxcywh(boxes_BA4), xyxy_to_cxcywh(targets.boxes_BG4)
    shifts_x, shifts_y = points.grid_A2[None, :, 0], points.grid_A2[None, :, 1]
    strides = points.stride_A[None]

    def assign() -> list[tuple[Tensor, Tensor, Tensor]]:
        results = []
        for index, count in enumerate(targets.valid_BG.sum(1).tolist()):
            _, foreground, iou, matched, _ = head.get_assignments(
                index,
                count,
                targets_cxcywh[index, :count],
                targets.labels_BG[index, :count].float(),
                boxes[index],
                strides,
                shifts_x,
                shifts_y,
                raw_BA[..., 5:],
                raw_BA[..., 4:5],
            )
            results.append((foreground, matched, iou))
        return results

    return assign


def mismatches(got: Assignment, expected: list[tuple[Tensor, Tensor, Tensor]]) -> int:
    """Points on which the two differ (costs that tie may)."""
    total = 0
    for image, (foreground, matched, _) in enumerate(expected):
        whole = torch.full_like(got.matched_gt_BA[image], -1)
        whole[foreground] = matched
        total += int((whole != got.matched_gt_BA[image]).sum())
    return total


def extra_memory(call: Callable[[], object], device: str) -> float:
    """MiB in use at the worst moment of a call, beyond what was in use before."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    return _peak(profile) / 2**20


def _peak(profile: "torch.profiler.profile") -> int:
    """Largest sum of allocations less releases, bytes."""
    now = most = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most
