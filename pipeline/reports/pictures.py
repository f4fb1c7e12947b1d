"""Detections beside the truth on test images that a rule picks, not a person: the worst, the middle and the best.

An image's figure is its F1 at IoU 0.5: detections, best first, each take the most overlapping free object of their
class. Objects marked as crowd neither count nor are drawn.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_core.datasets.images import read_image
from yolox_core.structures import ImageArray
from yolox_core.visualize import draw_boxes

IOU = 0.5
LONGEST_PX = 480  # longer side of a picture on the page
SHORTEST_PX = 400  # smaller pictures are enlarged, so that labels can be read
JPEG_QUALITY = 82
GROUPS = ("worst", "middle", "best")
Entry = Mapping[str, Any]  # a COCO annotation, or a detection by DESIGN.md


@dataclass(frozen=True)
class ImageScore:
    """One test image with its objects, what was found in it, and how well that fits."""

    file_name: str
    truth: tuple[Entry, ...]
    found: tuple[Entry, ...]
    f1: float


@dataclass(frozen=True)
class Picture:
    """A pair of drawings, ready for the page."""

    file_name: str
    group: str
    f1: float
    truth_jpeg: str  # base64
    found_jpeg: str
    truth_text: str
    found_text: str


def score_images(coco: Mapping[str, Any], detections: Sequence[Entry], confidence: float) -> list[ImageScore]:
    """Every image's F1, by ascending (F1, number of objects, name): ties among the best go to the fullest image."""
    truth: dict[int, list[Entry]] = {image["id"]: [] for image in coco["images"]}
    found: dict[int, list[Entry]] = {image["id"]: [] for image in coco["images"]}
    for entry in coco["annotations"]:
        if not entry.get("iscrowd") and not entry.get("ignore"):
            truth[entry["image_id"]].append(entry)
    for entry in detections:
        if entry["score"] >= confidence and entry["image_id"] in found:
            found[entry["image_id"]].append(entry)
    scores = [
        ImageScore(image["file_name"], tuple(truth[image["id"]]), tuple(found[image["id"]]), f1)
        for image in coco["images"]
        for f1 in [image_f1(truth[image["id"]], found[image["id"]])]
    ]
    return sorted(scores, key=lambda score: (score.f1, len(score.truth), score.file_name))


def image_f1(truth: Sequence[Entry], found: Sequence[Entry]) -> float:
    """2 TP / (objects + detections) at IoU 0.5; 1 where there is nothing and nothing was found."""
    if not truth and not found:
        return 1.0
    free, hits = list(truth), 0
    for detection in sorted(found, key=lambda entry: -float(entry["score"])):
        same = [entry for entry in free if entry["category_id"] == detection["category_id"]]
        best = max(same, key=lambda entry: box_iou(entry["bbox"], detection["bbox"]), default=None)
        if best is not None and box_iou(best["bbox"], detection["bbox"]) >= IOU:
            free.remove(best)
            hits += 1
    return 2 * hits / (len(truth) + len(found))


def box_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two [x, y, width, height]."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = first[2] * first[3] + second[2] * second[3] - shared
    return shared / union if union > 0 else 0.0


def pick(scores: Sequence[ImageScore], each: int = 4) -> list[tuple[str, ImageScore]]:
    """`each` images from both ends and the middle of the sorted scores, none twice; all where there are few."""
    count = len(scores)
    if count <= 3 * each:
        return [(GROUPS[min(3 * index // count, 2)], score) for index, score in enumerate(scores)]
    middle = (count - each) // 2
    starts = (0, middle, count - each)
    return [(group, scores[start + step]) for group, start in zip(GROUPS, starts, strict=True) for step in range(each)]


def draw_pair(folder: Path, group: str, score: ImageScore, names: Mapping[int, str]) -> Picture:
    """Both drawings of one image; `names` are the classes by category id."""
    image = read_image(folder / score.file_name)
    longest = max(image.shape[:2])
    scale = min(max(longest, SHORTEST_PX), LONGEST_PX) / longest
    if scale != 1.0:
        method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8)
    return Picture(
        file_name=score.file_name,
        group=group,
        f1=score.f1,
        truth_jpeg=_jpeg(_drawn(image, score.truth, names, scale)),
        found_jpeg=_jpeg(_drawn(image, score.found, names, scale)),
        truth_text=_in_words(score.truth, names),
        found_text=_in_words(score.found, names),
    )


def _drawn(image: ImageArray, entries: Sequence[Entry], names: Mapping[int, str], scale: float) -> ImageArray:
    if not entries:
        return image
    xywh = np.array([entry["bbox"] for entry in entries], dtype=np.float32) * scale
    order = {category: index for index, category in enumerate(names)}
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    colors = [order[entry["category_id"]] for entry in entries]
    labels = [names[entry["category_id"]] + (f" {entry['score']:.2f}" if "score" in entry else "") for entry in entries]
    return draw_boxes(image, boxes, colors, labels)


def _jpeg(image: ImageArray) -> str:
    encoded, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert encoded  # OpenCV can always write JPEG
    return base64.b64encode(content.tobytes()).decode("ascii")


def _in_words(entries: Sequence[Entry], names: Mapping[int, str]) -> str:
    """`3 objects: 2 circle, 1 square`, for those who cannot see the picture."""
    counts = Counter(names[entry["category_id"]] for entry in entries)
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{len(entries)} object{'' if len(entries) == 1 else 's'}" + (f": {listed}" if listed else "")
