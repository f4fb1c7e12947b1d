"""Decoded predictions -> detections, in NumPy: threshold, class-aware NMS, back to the source image.

As yolox/utils/boxes.py of Megvii-BaseDetection/YOLOX at 6ddff48: the class is the most probable one, the score
objectness x class probability, and NMS works within a class. Training's evaluation, prediction and the service all
select here. Suppression itself is OpenCV's.
"""

from typing import Any

import cv2
import numpy as np

from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.model.description import DAMAGED
from yolox_core.structures import Detections, FloatArray, IntArray


class OutputNotFinite(InputError):
    """A network's answer to an image holds what is no number; nothing can be said of that image."""

    def __init__(self, image: str, model: str) -> None:
        self._model = model
        super().__init__(f"{image}: expected numbers from the network of {model}, got NaN. {DAMAGED}")

    def of(self, image: str) -> "OutputNotFinite":
        """The same, of an image whose name is known here."""
        return OutputNotFinite(image, self._model)


def require_numbers(decoded_A: FloatArray, image: str, model: str) -> None:
    """OutputNotFinite where a prediction [A, 4+1+C] is NaN. A side that runs over to infinity is cut at the image."""
    if np.isnan(decoded_A.min(initial=0.0)):
        raise OutputNotFinite(image, model)


def select(decoded_A: FloatArray, confidence: float, nms_iou: float) -> FloatArray:
    """One image's decoded predictions [A, 4+1+C] -> [N, 7]: x1, y1, x2, y2, objectness, class probability, class.

    Kept are scores of at least `confidence`, but for boxes that are no numbers; of two boxes of one class that overlap
    by more than `nms_iou` the better one. Best first. InputError where a threshold is outside 0 to 1.
    """
    check_threshold("confidence", confidence)
    check_threshold("nms_iou", nms_iou)
    least = np.float32(confidence)
    candidates = decoded_A[decoded_A[:, 4] >= least]  # no score is above its objectness
    labels = candidates[:, 5:].argmax(axis=1)
    probabilities = np.take_along_axis(candidates[:, 5:], labels[:, None], axis=1)[:, 0]
    scores = candidates[:, 4] * probabilities
    rows_N7 = np.column_stack((candidates[:, :5], probabilities, labels)).astype(np.float32, copy=False)
    enough = (scores >= least) & ~np.isnan(candidates[:, :4]).any(axis=1)
    rows_N7, scores, labels = rows_N7[enough], scores[enough], labels[enough]
    return rows_N7[nms(rows_N7[:, :4], scores, labels, nms_iou)]


def nms(boxes_N4: FloatArray, scores_N: FloatArray, labels_N: IntArray, iou: float) -> IntArray:
    """Indices of the boxes (xyxy px) that stay, best first: within a class no two overlap by more than `iou`."""
    # not NMSBoxesBatched, which shifts classes apart by the largest corner: negative corners may meet all the same
    best_first = np.argsort(-scores_N, kind="stable")
    with np.errstate(invalid="ignore"):  # infinity less infinity
        corner_and_size: Any = np.column_stack((boxes_N4[:, :2], boxes_N4[:, 2:] - boxes_N4[:, :2])).astype(np.float64)
    # what has no area overlaps nothing; OpenCV takes two of such for the same, and what is infinite for anything
    has_area_N = np.isfinite(corner_and_size).all(axis=1) & (corner_and_size[:, 2:] > 0).all(axis=1)
    kept = [np.flatnonzero(~has_area_N)]
    for label in np.unique(labels_N[has_area_N]):
        own = best_first[(labels_N[best_first] == label) & has_area_N[best_first]]
        ranks: Any = np.arange(len(own), 0, -1, dtype=np.float32)  # for scores: OpenCV drops those of 0
        kept.append(own[np.asarray(cv2.dnn.NMSBoxes(corner_and_size[own], ranks, 0.0, iou), np.int64)])
    is_kept = np.zeros(len(scores_N), np.bool_)
    is_kept[np.concatenate(kept)] = True
    return best_first[is_kept[best_first]]


def to_source(rows_N7: FloatArray, scale: float, source_size: tuple[int, int], spec: DetectorSpec) -> Detections:
    """Selected rows in network pixels -> detections in pixels of the source image (height, width), clipped to it."""
    height, width = source_size
    limit = np.array([width, height, width, height], np.float32)
    return Detections(
        boxes=np.clip(rows_N7[:, :4] / np.float32(scale), np.float32(0), limit),
        scores=rows_N7[:, 4] * rows_N7[:, 5],
        labels=rows_N7[:, 6].astype(np.int64),
        spec=spec,
    )


def check_threshold(name: str, value: float) -> None:
    """InputError unless 0 <= value <= 1."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name}: expected a threshold from 0 to 1, got {value!r}.")
