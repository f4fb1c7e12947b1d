"""COCO counts the best 100 detections of a class in an image, and what that means where an image has more objects.

There a perfect detector does not reach a map of 1. `map` keeps COCO's definition; beside it stand `map_ceiling`, what a
perfect detector would reach, and `map_unlimited`, measured on all detections, which decides between detectors. Data
sets without such images have neither. Source: pycocotools/cocoeval.py, Params.maxDets.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from yolox_core.data.records import DatasetRecords, ImageRecord

LIMIT = 100  # detections of one class in one image
UNLIMITED, CEILING = "map_unlimited", "map_ceiling"
_RECALLS = np.linspace(0.0, 1.0, 101)  # where COCO samples precision


def crowded(images: Iterable[ImageRecord]) -> list[ImageRecord]:
    """Images with more objects of a class than detections of it count."""
    return [image for image in images if max(_counts(image).values(), default=0) > LIMIT]


def limit(truth: DatasetRecords, detections: Sequence[Mapping[str, Any]]) -> int:
    """How many detections of a class in an image decide: COCO's, or all that there are where an image is crowded."""
    if not crowded(truth.images):
        return LIMIT
    each = Counter((entry["image_id"], entry["category_id"]) for entry in detections)
    return max(each.values(), default=LIMIT)


def ceiling(images: Sequence[ImageRecord]) -> float:
    """The map of a detector that finds every object exactly, with COCO's limit; 1.0 where no image is crowded."""
    objects: Counter[int] = Counter()
    counted: Counter[int] = Counter()
    for image in images:
        for label, count in _counts(image).items():
            objects[label] += count
            counted[label] += min(count, LIMIT)
    reached = [(counted[label] / objects[label] >= _RECALLS).mean() for label in objects]
    return float(np.mean(reached)) if reached else 1.0


def deciding(metrics: Mapping[str, Any], name: str = "map") -> float | None:
    """The figure by which detectors are compared: of `map` the one without a limit where there is one."""
    value = metrics.get(UNLIMITED, metrics.get(name)) if name == "map" else metrics.get(name)
    return None if value is None else float(value)


def _counts(image: ImageRecord) -> Counter[int]:
    return Counter(image.objects.without_crowds.labels_G.tolist())
