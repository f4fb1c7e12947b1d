"""Detections beside the truth on test images that a rule picks, not a person: the worst, the middle and the best.

The worst image is the one with most mistakes, as yolox_core/evaluation/error_types.py counts them. Objects marked as
crowd neither count nor are drawn.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_core.config import DetectorSpec
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.evaluation.error_types import causes
from yolox_core.evaluation.matching import match_detections
from yolox_core.inference.visualize import draw_boxes
from yolox_core.structures import ImageArray

LONGEST_PX = 480  # longer side of a picture on the page
SHORTEST_PX = 400  # smaller pictures are enlarged, so that labels can be read
JPEG_QUALITY = 82
GROUPS = ("worst", "middle", "best")
Entry = Mapping[str, Any]  # a detection by DESIGN.md


@dataclass(frozen=True)
class ImageScore:
    """One test image with its objects, what was found in it, and the mistakes by cause."""

    record: ImageRecord
    found: tuple[Entry, ...]
    counts: Mapping[str, int]

    @property
    def mistakes(self) -> int:
        return sum(count for cause, count in self.counts.items() if cause != "right")


@dataclass(frozen=True)
class Picture:
    """A pair of drawings, ready for the page."""

    file_name: str
    group: str
    verdict: str  # `5 found; 1 missed, 2 poor box`
    truth_jpeg: str  # base64
    found_jpeg: str
    truth_text: str
    found_text: str


def score_images(truth: DatasetRecords, detections: Sequence[Entry], threshold: float) -> list[ImageScore]:
    """Every image by falling number of mistakes; of those without any, the one with most objects is the best."""
    kept = [dict(entry) for entry in detections if entry["score"] >= threshold]
    by_id = {image.image_id: image for image in truth.images}
    scores = [
        ImageScore(
            record=by_id[image.image_id],
            found=tuple(entry for entry in kept if entry["image_id"] == image.image_id),
            counts=causes(image).counts(),
        )
        for image in match_detections(truth, kept)
    ]
    return sorted(scores, key=lambda score: (-score.mistakes, score.counts["right"], score.record.file_name))


def pick(scores: Sequence[ImageScore], each: int = 4) -> list[tuple[str, ImageScore]]:
    """`each` images from both ends and the middle of the sorted scores, none twice; all where there are few."""
    count = len(scores)
    if count <= 3 * each:
        return [(GROUPS[min(3 * index // count, 2)], score) for index, score in enumerate(scores)]
    middle = (count - each) // 2
    starts = (0, middle, count - each)
    return [(group, scores[start + step]) for group, start in zip(GROUPS, starts, strict=True) for step in range(each)]


def draw_pair(folder: Path, group: str, score: ImageScore, spec: DetectorSpec) -> Picture:
    """Both drawings of one image."""
    record = score.record
    image = read_image(folder / record.file_name, spec.value_range)
    longest = max(image.shape[:2])
    scale = min(max(longest, SHORTEST_PX), LONGEST_PX) / longest
    if scale != 1.0:
        method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8)
    label_of = {category: label for label, category in enumerate(spec.category_ids)}
    objects = record.objects.without_crowds
    truth, found = objects.labels_G.tolist(), [label_of[entry["category_id"]] for entry in score.found]
    xywh = np.array([entry["bbox"] for entry in score.found], dtype=np.float32).reshape(-1, 4)
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    names = spec.class_names
    captions = [f"{names[label]} {entry['score']:.2f}" for label, entry in zip(found, score.found, strict=True)]
    drawn_truth = draw_boxes(image, objects.boxes_G4 * scale, truth, [names[label] for label in truth])
    return Picture(
        file_name=record.file_name,
        group=group,
        verdict=verdict(score.counts),
        truth_jpeg=jpeg(drawn_truth),
        found_jpeg=jpeg(draw_boxes(image, boxes * scale, found, captions)),
        truth_text=_in_words(truth, names),
        found_text=_in_words(found, names),
    )


def verdict(counts: Mapping[str, int]) -> str:
    """What went right and wrong, in words."""
    wrong = [f"{count} {cause.replace('_', ' ')}" for cause, count in counts.items() if count and cause != "right"]
    return f"{counts['right']} found; " + (", ".join(wrong) or "no mistake")


def jpeg(image: ImageArray) -> str:
    encoded, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert encoded  # OpenCV can always write JPEG
    return base64.b64encode(content.tobytes()).decode("ascii")


def _in_words(labels: Sequence[int], names: Sequence[str]) -> str:
    """`3 objects: 2 circle, 1 square`, for those who cannot see the picture."""
    counts = Counter(names[label] for label in labels)
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{len(labels)} object{'' if len(labels) == 1 else 's'}" + (f": {listed}" if listed else "")
