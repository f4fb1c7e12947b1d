"""Why a detector is not perfect: every mistake by its cause, and what map_50 would gain if one cause were gone.

After Bolya, Foley, Hays and Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020,
arXiv 2008.08115), sections 2.2 and 2.3, with its thresholds. Where a detection fits two causes, the first in this order
is it: duplicate, wrong class, poor box, both, background.
Legend: D detections of an image, best first; G its objects; N detections of all images; C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from yolox_core.evaluation.matching import IN_CROWD, IOU, NOTHING, DoubleArray, MatchedImage
from yolox_core.structures import BoolArray, IntArray

NEAR = 0.1  # IoU from which on a detection means an object, however poorly
CAUSES = ("missed", "background", "wrong_class", "poor_box", "both", "duplicate")
MISSED, BACKGROUND, WRONG_CLASS, POOR_BOX, BOTH, DUPLICATE = range(len(CAUSES))
RIGHT, NEUTRAL = -1, -2  # no mistakes: an object found, a detection in a crowd
RECALLS = np.linspace(0.0, 1.0, 101)  # where COCO samples precision


@dataclass(frozen=True)
class Causes:
    """One image: why each detection is wrong, which object it means, and which objects nothing means."""

    cause_D: IntArray  # a position in CAUSES, RIGHT or NEUTRAL
    object_D: IntArray  # the object found or meant, NOTHING for the background
    missed_G: BoolArray

    def counts(self) -> dict[str, int]:
        """Mistakes by cause, and `right`: objects found."""
        wrong = {name: int((self.cause_D == code).sum()) for code, name in enumerate(CAUSES)}
        return {"right": int((self.cause_D == RIGHT).sum()), **wrong, "missed": int(self.missed_G.sum())}

    @property
    def mistakes(self) -> int:
        return int((self.cause_D >= 0).sum() + self.missed_G.sum())


def causes(image: MatchedImage) -> Causes:
    """Of each detection and object of one image."""
    own_DG = image.labels_D[:, None] == image.labels_G
    own_D, own_object_D = _nearest(image, own_DG)
    other_D, other_object_D = _nearest(image, ~own_DG)
    kinds = [
        (image.found_D >= 0, RIGHT, image.found_D),
        (image.found_D == IN_CROWD, NEUTRAL, np.full_like(image.found_D, NOTHING)),
        (own_D >= IOU, DUPLICATE, own_object_D),  # all such objects are taken, or it would have one
        (other_D >= IOU, WRONG_CLASS, other_object_D),
        (own_D >= NEAR, POOR_BOX, own_object_D),
        (other_D >= NEAR, BOTH, other_object_D),
    ]
    conditions = [condition for condition, _, _ in kinds]
    cause_D = np.select(conditions, [code for _, code, _ in kinds], BACKGROUND)
    object_D = np.select(conditions, [meant_D for _, _, meant_D in kinds], NOTHING)
    missed_G = ~image.ignore_G
    missed_G[object_D[np.isin(cause_D, (RIGHT, WRONG_CLASS, POOR_BOX))]] = False
    return Causes(cause_D, object_D, missed_G)


def _nearest(image: MatchedImage, allowed_DG: BoolArray) -> tuple[DoubleArray, IntArray]:
    """[D] the largest IoU with an allowed object that is no crowd, and which object that is."""
    if not len(image.labels_G):
        return np.zeros(len(image.scores_D)), np.full(len(image.scores_D), NOTHING)
    iou_DG = np.where(allowed_DG & ~image.ignore_G, image.overlap_DG, 0.0)
    return iou_DG.max(axis=1), iou_DG.argmax(axis=1)


def count(matched: Sequence[MatchedImage], score: float) -> dict[str, int]:
    """Mistakes by cause, and `right`, among detections that score at least `score`."""
    found = [causes(image.above(score)).counts() for image in matched]
    return {name: sum(entry[name] for entry in found) for name in ("right", *CAUSES)}


@dataclass(frozen=True)
class Ledger:
    """All detections of a data set, as far as average precision asks; those in crowds are left out."""

    scores_N: DoubleArray
    labels_N: IntArray
    right_N: BoolArray
    cause_N: IntArray
    object_N: IntArray  # a number of its own for each object of the data set, or NOTHING
    objects_C: IntArray  # how many there are to find
    missed_C: IntArray


def map_50(ledger: Ledger) -> float:
    """The mean over classes that occur of COCO's average precision at IoU .5; NaN where no class occurs."""
    occurring = np.flatnonzero(ledger.objects_C)
    figures = [
        _average_precision(ledger.scores_N[of_class], ledger.right_N[of_class], ledger.objects_C[label])
        for label in occurring
        for of_class in [ledger.labels_N == label]
    ]
    return float(np.mean(figures)) if figures else float("nan")


def costs(matched: Sequence[MatchedImage], classes: int) -> dict[str, float]:
    """By cause: map_50 if its mistakes were mended, less map_50 as it is (of all detections, whatever they score).

    A poor box or a wrong class is put right, and where an object then has several detections the best stays; what is
    background, both or duplicate is taken away; a missed object is no longer asked for.
    """
    book = ledger(matched, classes)
    before = map_50(book)
    mended = {
        MISSED: _without_missed(book),
        **{code: map_50(_put_right(book, matched, code)) for code in (WRONG_CLASS, POOR_BOX)},
        **{code: map_50(_kept(book, book.cause_N != code)) for code in (BACKGROUND, BOTH, DUPLICATE)},
    }
    return {name: mended[code] - before for code, name in enumerate(CAUSES)}


def ledger(matched: Sequence[MatchedImage], classes: int) -> Ledger:
    """The detections of all images in one row."""
    found = [causes(image) for image in matched]
    first = np.cumsum([0, *(len(image.labels_G) for image in matched)])[:-1].tolist()
    counted = [entry.cause_D != NEUTRAL for entry in found]
    objects = [
        np.where(entry.object_D >= 0, entry.object_D + start, NOTHING)
        for entry, start in zip(found, first, strict=True)
    ]
    kept = list(zip(matched, found, objects, counted, strict=True))
    empty = np.zeros(0, np.int64)
    cause_N = np.concatenate([empty, *(entry.cause_D[use] for _, entry, _, use in kept)])
    return Ledger(
        scores_N=np.concatenate([np.zeros(0), *(image.scores_D[use] for image, _, _, use in kept)]),
        labels_N=np.concatenate([empty, *(image.labels_D[use] for image, _, _, use in kept)]),
        right_N=cause_N == RIGHT,
        cause_N=cause_N,
        object_N=np.concatenate([empty, *(numbers[use] for _, _, numbers, use in kept)]),
        objects_C=_by_class(classes, [image.labels_G[~image.ignore_G] for image in matched]),
        missed_C=_by_class(classes, [image.labels_G[entry.missed_G] for image, entry, _, _ in kept]),
    )


def _by_class(classes: int, labels: list[IntArray]) -> IntArray:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=classes)


def _without_missed(book: Ledger) -> float:
    """A class of which nothing at all is left to find has no mistakes of this kind left: it counts as 1."""
    left_C = book.objects_C - book.missed_C
    gone = int(((left_C == 0) & (book.objects_C > 0)).sum())
    occurring = int((book.objects_C > 0).sum())
    rest = map_50(replace(book, objects_C=left_C)) * (occurring - gone) if occurring > gone else 0.0
    return (rest + gone) / occurring if occurring else float("nan")


def _put_right(book: Ledger, matched: Sequence[MatchedImage], code: int) -> Ledger:
    mended_N = book.cause_N == code
    label_of = np.concatenate([np.zeros(0, np.int64), *(image.labels_G for image in matched)])
    labels_N = book.labels_N.copy()
    labels_N[mended_N] = label_of[book.object_N[mended_N]]
    right_N = book.right_N | mended_N
    # of several detections of one object the best stays
    order = np.argsort(-book.scores_N[right_N], kind="stable")
    claims = np.flatnonzero(right_N)[order]
    _, first = np.unique(book.object_N[claims], return_index=True)
    kept_N = ~right_N
    kept_N[claims[first]] = True
    return _kept(replace(book, labels_N=labels_N, right_N=right_N), kept_N)


def _kept(book: Ledger, kept_N: BoolArray) -> Ledger:
    of_detections = ("scores_N", "labels_N", "right_N", "cause_N", "object_N")
    return replace(book, **{name: getattr(book, name)[kept_N] for name in of_detections})


def _average_precision(scores_N: DoubleArray, right_N: BoolArray, objects: int) -> float:
    """Precision at RECALLS, each the largest at that recall or beyond (pycocotools/cocoeval.py, accumulate)."""
    hits = np.cumsum(right_N[np.argsort(-scores_N, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(hits / objects, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[reached.clip(max=len(hits))].mean())
