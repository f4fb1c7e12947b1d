"""Precision, recall and F1 for every score at which one could cut, and the score that gives the largest F1.

At IoU .5, and on the images that are given: a threshold chosen on the images that it is measured on looks a little
better there than it will elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolox_core.evaluation.matching import IN_CROWD, DoubleArray, MatchedImage
from yolox_core.structures import BoolArray

THRESHOLDS = tuple(number / 100 for number in range(1, 100))


@dataclass(frozen=True)
class Curve:
    """One class, or all of them together, over THRESHOLDS (T)."""

    precision_T: DoubleArray  # NaN where nothing scores so much
    recall_T: DoubleArray
    f1_T: DoubleArray

    @property
    def best(self) -> int:
        """The position of the largest F1; of several equal ones the middle, which leaves room on both sides."""
        largest = np.flatnonzero(self.f1_T == self.f1_T.max())
        return int(largest[len(largest) // 2])

    @property
    def recommended(self) -> float:
        """The score at the largest F1."""
        return THRESHOLDS[self.best]


def curve(matched: Sequence[MatchedImage], label: int | None = None) -> Curve:
    """Of one class that has objects; of all classes taken together without `label`."""
    scores, right, objects = [np.zeros(0)], [np.zeros(0, np.bool_)], 0
    for image in matched:
        counted_D = (image.found_D != IN_CROWD) & _of(image.labels_D == label, label)
        scores.append(image.scores_D[counted_D])
        right.append(image.found_D[counted_D] >= 0)
        objects += int((~image.ignore_G & _of(image.labels_G == label, label)).sum())
    return _curve(np.concatenate(scores), np.concatenate(right), objects)


def _of(chosen: BoolArray, label: int | None) -> BoolArray:
    return np.ones_like(chosen) if label is None else chosen


def _curve(scores_D: DoubleArray, right_D: BoolArray, objects: int) -> Curve:
    def above(scores: DoubleArray) -> DoubleArray:
        return len(scores) - np.searchsorted(np.sort(scores), THRESHOLDS, side="left").astype(np.float64)

    found_T, right_T = above(scores_D), above(scores_D[right_D])
    precision_T = np.divide(right_T, found_T, out=np.full_like(found_T, np.nan), where=found_T > 0)
    return Curve(precision_T, right_T / objects, 2 * right_T / (objects + found_T))
