"""COCO metrics under one set of names.

pycocotools is the authority; faster-coco-eval gives the same figures sooner and measures during training (a test
holds the two equal). A size or class that does not occur is left out, never -1.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation.detection_limit import CEILING, LIMIT, UNLIMITED, ceiling, crowded, limit

Backend = Literal["pycocotools", "faster-coco-eval"]

# the first of COCOeval.stats, in their order
STATS = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "ar_1", "ar_10", "ar_100")
IOU_50 = 0  # position of IoU .5 among COCO's ten thresholds
ALL_SIZES, MOST_DETECTIONS = 0, -1


@dataclass(frozen=True)
class ClassFigures:
    """One class on a data set."""

    name: str
    images: int  # that have the class
    boxes: int
    map: float
    map_50: float
    ar_100: float
    precision_at_recall: npt.NDArray[np.float64]  # [101], IoU .5, at recalls 0, .01, ... 1


@dataclass(frozen=True)
class Measurement:
    """What COCO evaluation says of a set of detections."""

    metrics: dict[str, float]
    classes: tuple[ClassFigures, ...]  # those that occur


def measure(
    truth: DatasetRecords, detections: Sequence[dict[str, Any]], backend: Backend = "pycocotools"
) -> Measurement:
    """Detections as COCO results (`image_id`, `category_id`, `bbox` xywh source px, `score`) against the truth."""
    if all(image.objects.ignore_G.all() for image in truth.images):
        return Measurement({}, ())
    evaluation = _evaluated(truth, detections, backend)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    metrics = {name: float(stat) for name, stat in zip(STATS, evaluation.stats, strict=False) if stat > -1}
    if crowded(truth.images):
        most = max(limit(truth, detections), LIMIT + 1)
        precision = _evaluated(truth, detections, backend, most).eval["precision"][..., ALL_SIZES, MOST_DETECTIONS]
        metrics |= {UNLIMITED: float(precision[precision > -1].mean()), CEILING: ceiling(truth.images)}
    classes = _classes(truth, evaluation.eval["precision"], evaluation.eval["recall"])
    metrics |= {f"class/{figures.name}/map": figures.map for figures in classes}
    return Measurement(metrics, classes)


def _evaluated(truth: DatasetRecords, detections: Sequence[dict[str, Any]], backend: Backend, most: int = LIMIT) -> Any:
    """The library's evaluation with `most` detections of a class in an image."""
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print progress and tables
        _, eval_class = _backend(backend)
        evaluation = eval_class(*as_pair(truth, detections, backend), "bbox")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def as_pair(
    truth: DatasetRecords, detections: Sequence[dict[str, Any]], backend: Backend = "pycocotools"
) -> tuple[Any, Any]:
    """The truth and the detections as the library's own data sets; it prints while it makes them."""
    coco_class, _ = _backend(backend)
    ground_truth = coco_class()
    ground_truth.dataset = as_coco(truth)
    ground_truth.createIndex()
    found = ground_truth.loadRes([_plain(entry) for entry in detections]) if detections else _none(coco_class, truth)
    return ground_truth, found


def as_coco(records: DatasetRecords) -> dict[str, Any]:
    """The records as a COCO data set in memory."""
    annotations: list[dict[str, Any]] = []
    for image in records.images:
        for (x1, y1, x2, y2), label, ignore in image.objects.rows():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    "category_id": records.category_ids[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(ignore),
                }
            )
    return {
        "info": {},
        "images": [
            {"id": image.image_id, "file_name": image.file_name, "height": image.height, "width": image.width}
            for image in records.images
        ],
        "categories": [{"id": category.category_id, "name": category.name} for category in records.categories],
        "annotations": annotations,
    }


def _backend(backend: Backend) -> tuple[Any, Any]:
    if backend == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    from faster_coco_eval import COCO as FasterCOCO
    from faster_coco_eval import COCOeval_faster

    return FasterCOCO, COCOeval_faster


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    # a copy of what counts: the libraries write into the entries
    return {name: entry[name] for name in ("image_id", "category_id", "bbox", "score")}


def _none(coco_class: Any, truth: DatasetRecords) -> Any:
    """No detections at all, which loadRes refuses."""
    empty = coco_class()
    empty.dataset = {**as_coco(truth), "annotations": []}
    empty.createIndex()
    return empty


def _classes(truth: DatasetRecords, precision: Any, recall: Any) -> tuple[ClassFigures, ...]:
    """`precision` [T, R, K, sizes, limits] and `recall` [T, K, sizes, limits], K by ascending category id."""
    by_id = sorted(range(len(truth.categories)), key=lambda index: truth.category_ids[index])
    figures = []
    for position, index in enumerate(by_id):
        counts = [int((image.objects.without_crowds.labels_G == index).sum()) for image in truth.images]
        if not sum(counts):
            continue
        of_class = precision[:, :, position, ALL_SIZES, MOST_DETECTIONS]
        figures.append(
            ClassFigures(
                name=truth.categories[index].name,
                images=sum(count > 0 for count in counts),
                boxes=sum(counts),
                map=float(of_class.mean()),
                map_50=float(of_class[IOU_50].mean()),
                ar_100=float(recall[:, position, ALL_SIZES, MOST_DETECTIONS].mean()),
                precision_at_recall=np.asarray(of_class[IOU_50], dtype=np.float64),
            )
        )
    return tuple(figures)
