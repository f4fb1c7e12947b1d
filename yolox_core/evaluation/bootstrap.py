"""Two detectors on the same images: the difference of their maps, and how far it is the images' luck.

A paired bootstrap: images are drawn with replacement, the same ones for both detectors, and both maps computed anew. An
image drawn three times weighs three times, so a resample is a vector of weights: pycocotools matches boxes once a
detector, and each resample only adds up weights along its matches. With weights of 1 the maps are pycocotools' own, or
`map_unlimited` where that decides (detection_limit.py).

Legend: I images, R resamples, D detections of a class by falling score, P those of them that found an object.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13 (percentile interval).
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation.coco import as_pair
from yolox_core.evaluation.detection_limit import UNLIMITED, crowded, limit

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)  # of 95% confidence
ALL_AREAS = [0, 1e10]  # COCO's own
CELLS = 1 << 22  # detections times resamples that are weighed at once: 16 or 32 MiB in each of a few arrays

Counts = npt.NDArray[np.int32]
Figures = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """The maps of two detectors, and the interval of first less second; 0 lies outside where it is no luck."""

    first: float
    second: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """First less second."""
        return self.first - self.second


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same images."""

    images: int
    resamples: int
    overall: Difference
    classes: dict[str, Difference]  # those that occur
    figure: str = "map"  # or map_unlimited, where images have more objects than COCO counts


@dataclass(frozen=True)
class _Matches:
    """What a detector's boxes of one class met at each IoU threshold; positions count along D."""

    image_D: Positions
    found: tuple[Positions, ...]  # P positions of boxes that found an object, one array a threshold
    excused: tuple[Positions, ...]  # positions of boxes that met an ignored region


@dataclass(frozen=True)
class _Matched:
    """A detector's matches class by class, and the objects that were there to find."""

    classes: list[_Matches]  # by ascending category id
    objects_CI: Figures
    recalls: Figures  # where precision is sampled


def compare(
    truth: DatasetRecords,
    first: Sequence[dict[str, Any]],
    second: Sequence[dict[str, Any]],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Both detectors' COCO results on `truth`, which must hold an object; a class that a resample lacks counts for
    neither detector there."""
    pair = (_match(truth, first), _match(truth, second))
    images = len(truth.images)
    plain = [maps(matched, np.ones((1, images), np.int32))[:, 0] for matched in pair]
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(1, images, *(len(of.image_D) for matched in pair for of in matched.classes)))
    differences = []
    for start in range(0, resamples, step):
        weights_RI = rng.multinomial(images, np.full(images, 1 / images), min(step, resamples - start)).astype(np.int32)
        first_CR, second_CR = (maps(matched, weights_RI) for matched in pair)
        differences.append(np.vstack([_mean(first_CR) - _mean(second_CR), first_CR - second_CR]))
    spread = np.concatenate(differences, axis=1)
    names = [category.name for category in sorted(truth.categories, key=lambda category: category.category_id)]
    classes = {
        name: _difference(plain[0][at], plain[1][at], spread[1 + at])
        for at, name in enumerate(names)
        if not np.isnan(plain[0][at])
    }
    overall = _difference(_mean(plain[0][:, None])[0], _mean(plain[1][:, None])[0], spread[0])
    return Comparison(images, resamples, overall, classes, UNLIMITED if crowded(truth.images) else "map")


def maps(matched: _Matched, weights_RI: Counts) -> Figures:
    """[classes, R]: the map of each class where each image counts as often as its weight; NaN without objects."""
    objects_CR = matched.objects_CI @ weights_RI.T
    return np.array(
        [
            _class_map(of, objects_R, weights_RI, matched.recalls)
            for of, objects_R in zip(matched.classes, objects_CR, strict=True)
        ]
    )


def _match(truth: DatasetRecords, detections: Sequence[dict[str, Any]]) -> _Matched:
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        evaluation = COCOeval(*as_pair(truth, detections), "bbox")
        parameters = evaluation.params
        parameters.areaRng, parameters.areaRngLbl = [ALL_AREAS], ["all"]
        parameters.maxDets = [limit(truth, detections)]
        evaluation.evaluate()
    images = len(parameters.imgIds)
    of_class = [evaluation.evalImgs[start : start + images] for start in range(0, len(evaluation.evalImgs), images)]
    objects = [[0 if met is None else np.count_nonzero(met["gtIgnore"] == 0) for met in of] for of in of_class]
    thresholds = len(parameters.iouThrs)
    return _Matched(
        [_matches(of, thresholds) for of in of_class], np.array(objects, np.float64), np.asarray(parameters.recThrs)
    )


def _matches(of_class: list[dict[str, Any] | None], thresholds: int) -> _Matches:
    """The images' matches in one row by falling score; equal scores stay in the order of the images."""
    met = [(at, one) for at, one in enumerate(of_class) if one is not None]
    if not met:
        return _Matches(np.zeros(0, np.int64), *[(np.zeros(0, np.int64),) * thresholds] * 2)
    order_D = np.argsort(-np.concatenate([one["dtScores"] for _, one in met]), kind="stable")
    image_D = np.repeat([at for at, _ in met], [len(one["dtScores"]) for _, one in met])[order_D]
    matched_TD = np.concatenate([one["dtMatches"] for _, one in met], axis=1)[:, order_D] != 0
    ignored_TD = np.concatenate([one["dtIgnore"] for _, one in met], axis=1)[:, order_D].astype(bool)
    found_TD = matched_TD & ~ignored_TD
    end = int(np.flatnonzero(found_TD.any(axis=0)).max(initial=-1)) + 1  # what comes after finds nothing any more
    positions = (tuple(np.flatnonzero(row) for row in of_TD[:, :end]) for of_TD in (found_TD, ignored_TD))
    return _Matches(image_D[:end], *positions)


def _class_map(of: _Matches, objects_R: Figures, weights_RI: Counts, recalls: Figures) -> Figures:
    """[R]: precision averaged over IoU thresholds and recalls."""
    seen_RD = np.cumsum(np.take(weights_RI, of.image_D, axis=1), axis=1, dtype=np.int32)
    needed_RN = _needed(objects_R, recalls)
    averages = [
        _average_precision(of.image_D, found, excused, seen_RD, weights_RI, needed_RN)
        for found, excused in zip(of.found, of.excused, strict=True)
    ]
    return np.where(objects_R > 0, np.mean(averages, axis=0), np.nan)


def _needed(objects_R: Figures, recalls: Figures) -> Positions:
    """[R, recalls]: the fewest found objects n with n / objects >= recall, in floating point as pycocotools divides."""
    objects = np.maximum(objects_R, 1)[:, None]
    needed = np.ceil(recalls * objects)
    needed -= (needed >= 1) & ((needed - 1) / objects >= recalls)
    needed += needed / objects < recalls
    return needed.astype(np.int64)


def _average_precision(
    image_D: Positions,
    found: Positions,
    excused: Positions,
    seen_RD: Counts,
    weights_RI: Counts,
    needed_RN: Positions,
) -> Figures:
    """[R]: the mean over recalls of the best precision at that recall or beyond.

    Only boxes that found something are looked at: between two of them precision falls.
    """
    points, resamples = len(found), len(weights_RI)
    if not points:
        return np.zeros(resamples)
    found_RP = np.cumsum(np.take(weights_RI, image_D[found], axis=1), axis=1, dtype=np.int32)
    counted_RP = np.take(seen_RD, found, axis=1)
    if len(excused):
        excused_RP = np.cumsum(np.take(weights_RI, image_D[excused], axis=1), axis=1, dtype=np.int32)
        before = np.searchsorted(excused, found)
        counted_RP[:, before > 0] -= excused_RP[:, before[before > 0] - 1]
    precision_RP = found_RP / (counted_RP + np.spacing(1))
    best_RP = np.maximum.accumulate(precision_RP[:, ::-1], axis=1)[:, ::-1]
    # one sorted row of all resamples, each lifted above the one before, so that a single search serves them all
    order_R1 = np.arange(resamples)[:, None]
    lift_R1 = order_R1 * (int(needed_RN.max()) + int(found_RP[:, -1].max()) + 1)
    at_RN = np.searchsorted((found_RP + lift_R1).ravel(), needed_RN + lift_R1) - order_R1 * points
    reached = at_RN < points
    sampled_RN = np.take_along_axis(best_RP, np.where(reached, at_RN, 0), axis=1)
    averages: Figures = np.where(reached, sampled_RN, 0.0).mean(axis=1)
    return averages


def _mean(maps_CR: Figures) -> Figures:
    """[R]: over the classes that occur; NaN where none does."""
    occurs = ~np.isnan(maps_CR)
    with np.errstate(invalid="ignore"):
        means: Figures = np.where(occurs, maps_CR, 0.0).sum(axis=0) / occurs.sum(axis=0)
    return means


def _difference(first: float, second: float, spread_R: Figures) -> Difference:
    low, high = np.percentile(spread_R[~np.isnan(spread_R)], PERCENTILES)
    return Difference(float(first), float(second), float(low), float(high))
