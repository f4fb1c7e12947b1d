"""Detections brought together with the objects of their images: what thresholds, confusion and errors are made from.

Matching is COCO's at IoU .5 (pycocotools/cocoeval.py): best first, each detection takes the free object that it
overlaps most. So to leave out what scores low changes nothing for what scores more.
Legend: D detections of an image, best first; G its objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.evaluation.detection_limit import limit
from yolox_core.structures import BoolArray, IntArray

IOU = 0.5
NOTHING, IN_CROWD = -1, -2  # what a detection found, where it is no object
DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MatchedImage:
    """One image: its objects, what was found in it, and which of them belong together."""

    image_id: int
    labels_G: IntArray
    ignore_G: BoolArray  # crowds: what lies in them is neither right nor wrong
    scores_D: DoubleArray
    labels_D: IntArray
    overlap_DG: DoubleArray  # IoU; for a crowd the share of the detection that lies in it
    found_D: IntArray  # the object of its own class that a detection has found, NOTHING or IN_CROWD

    def above(self, score: float) -> "MatchedImage":
        """The same with only those detections that score at least so much."""
        kept = int((self.scores_D >= score).sum())
        of_detections = ("scores_D", "labels_D", "overlap_DG", "found_D")
        return replace(self, **{name: getattr(self, name)[:kept] for name in of_detections})


def match_detections(truth: DatasetRecords, detections: Sequence[dict[str, Any]]) -> list[MatchedImage]:
    """One entry an image, by ascending id, from detections as COCO results; classes by their position in the truth."""
    label_of = {category: label for label, category in enumerate(truth.category_ids)}
    by_image: dict[int, list[dict[str, Any]]] = {image.image_id: [] for image in truth.images}
    for entry in detections:
        by_image[entry["image_id"]].append(entry)
    images = sorted(truth.images, key=lambda image: image.image_id)
    most = limit(truth, detections)
    return [_match_image(image, _best(by_image[image.image_id], most), label_of) for image in images]


def greedy(
    overlap_DG: DoubleArray, allowed_DG: BoolArray, ignore_G: BoolArray, preferred_DG: BoolArray | None = None
) -> IntArray:
    """[D] the object that each detection takes among those it may have, NOTHING or IN_CROWD.

    The one that it overlaps most; of equals the first, but one that is preferred comes before the others.
    """
    taken_D = np.full(len(overlap_DG), NOTHING, np.int64)
    if not len(ignore_G):
        return taken_D
    free_G = ~ignore_G
    close_DG = allowed_DG & (overlap_DG >= IOU)
    for detection, close_G in enumerate(close_DG):
        open_G = close_G & free_G
        if open_G.any():
            overlap_G = np.where(open_G, overlap_DG[detection], -1.0)
            equal_G = overlap_G == overlap_G.max()
            own_G = equal_G & preferred_DG[detection] if preferred_DG is not None else equal_G
            best = int((own_G if own_G.any() else equal_G).argmax())
            taken_D[detection], free_G[best] = best, False
        elif (close_G & ignore_G).any():
            taken_D[detection] = IN_CROWD
    return taken_D


def overlap(found_D4: DoubleArray, boxes_G4: DoubleArray, ignore_G: BoolArray) -> DoubleArray:
    """[D, G] IoU of boxes xyxy; for a crowd, intersection over the detection's own area. 0 where there is no area."""
    low_DG2 = np.maximum(found_D4[:, None, :2], boxes_G4[None, :, :2])
    high_DG2 = np.minimum(found_D4[:, None, 2:], boxes_G4[None, :, 2:])
    shared_DG: DoubleArray = (high_DG2 - low_DG2).clip(min=0).prod(axis=2)
    found_D, boxes_G = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (found_D4, boxes_G4))
    union_DG = np.where(ignore_G, found_D[:, None], found_D[:, None] + boxes_G - shared_DG)
    share_DG: DoubleArray = np.divide(shared_DG, union_DG, out=np.zeros_like(shared_DG), where=union_DG > 0)
    return share_DG


def _match_image(image: ImageRecord, entries: list[dict[str, Any]], label_of: dict[int, int]) -> MatchedImage:
    xywh_D4 = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    labels_D = np.array([label_of[entry["category_id"]] for entry in entries], np.int64)
    found_D4 = np.concatenate([xywh_D4[:, :2], xywh_D4[:, :2] + xywh_D4[:, 2:]], axis=1)
    objects = image.objects
    overlap_DG = overlap(found_D4, objects.boxes_G4.astype(np.float64), objects.ignore_G)
    return MatchedImage(
        image_id=image.image_id,
        labels_G=objects.labels_G,
        ignore_G=objects.ignore_G,
        scores_D=np.array([entry["score"] for entry in entries], np.float64),
        labels_D=labels_D,
        overlap_DG=overlap_DG,
        found_D=greedy(overlap_DG, labels_D[:, None] == objects.labels_G, objects.ignore_G),
    )


def _best(entries: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Best first, at most so many of each class."""
    seen: dict[int, int] = {}
    kept = []
    for entry in sorted(entries, key=lambda entry: -float(entry["score"])):
        seen[entry["category_id"]] = seen.get(entry["category_id"], 0) + 1
        if seen[entry["category_id"]] <= most:
            kept.append(entry)
    return kept
