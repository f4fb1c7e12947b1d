"""The evaluation as files of reports/: metrics.json, detections.json, errors.json, and tables as CSV.

The tables are by class, by recall, by confidence threshold and by pair of classes (confusion). `dvc plots` draws them,
the report shows them, register sends them to MLflow.
"""

import math
from typing import Any

from pipeline.config import paths
from pipeline.reports.csv_text import csv_text
from yolox_core.atomic_files import write_json, write_text
from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation import error_types
from yolox_core.evaluation.coco import Measurement, measure
from yolox_core.evaluation.confusion import confusion
from yolox_core.evaluation.matching import MatchedImage, match_detections
from yolox_core.evaluation.pr_curve import THRESHOLDS, Curve, curve

RECALLS = [index / 100 for index in range(101)]  # where COCO samples precision
BACKGROUND = "(background)"  # in confusion.csv, where on one side there is no object
DIGITS = 6  # of a table's numbers


def write_reports(truth: DatasetRecords, detections: list[dict[str, Any]]) -> dict[str, float]:
    """All that is said of these detections; returns the figures."""
    measured = measure(truth, detections)
    together = match_detections(truth, detections)
    overall = curve(together)
    boxes = sum(len(image.objects) for image in truth.images)
    write_json(paths.DETECTIONS, detections)
    _write_classes(measured)
    _write_thresholds(truth, measured, together, overall)
    _write_confusion(truth, together, overall.recommended)
    _write_errors(truth, together, overall)
    write_json(paths.METRICS, {**measured.metrics, "images": len(truth.images), "boxes": boxes})
    return measured.metrics


def _write_classes(measured: Measurement) -> None:
    rows = [[c.name, c.images, c.boxes, c.map, c.map_50, c.ar_100] for c in measured.classes]
    write_text(paths.PER_CLASS, csv_text(["class", "images", "boxes", "map", "map_50", "ar_100"], rows))
    curve = [
        [c.name, recall, precision]
        for c in measured.classes
        for recall, precision in zip(RECALLS, c.precision_at_recall.tolist(), strict=True)
    ]
    write_text(paths.PRECISION_RECALL, csv_text(["class", "recall", "precision"], curve))


def _write_thresholds(truth: DatasetRecords, measured: Measurement, found: list[MatchedImage], overall: Curve) -> None:
    """A row a score; the classes stand beside the whole, so that `dvc plots` can draw the whole alone."""
    labels = {name: label for label, name in enumerate(truth.class_names)}
    curves = {"": overall} | {f"class/{c.name}/": curve(found, labels[c.name]) for c in measured.classes}
    columns = {
        f"{prefix}{name}": ["" if math.isnan(value) else round(value, DIGITS) for value in values.tolist()]
        for prefix, of in curves.items()
        for name, values in (("precision", of.precision_T), ("recall", of.recall_T), ("f1", of.f1_T))
    }
    rows = zip(THRESHOLDS, *columns.values(), strict=True)
    write_text(paths.THRESHOLD, csv_text(["threshold", *columns], [list(row) for row in rows]))


def _write_confusion(truth: DatasetRecords, found: list[MatchedImage], score: float) -> None:
    names = [*truth.class_names, BACKGROUND]
    counts = confusion(found, len(truth.class_names), score)
    rows = [[names[true], names[said], int(counts[true, said])] for true, said in zip(*counts.nonzero(), strict=True)]
    write_text(paths.CONFUSION, csv_text(["truth", "found", "count"], rows))


def _write_errors(truth: DatasetRecords, found: list[MatchedImage], overall: Curve) -> None:
    at = overall.best
    figures = {"precision": overall.precision_T[at], "recall": overall.recall_T[at], "f1": overall.f1_T[at]}
    report = {
        "threshold": overall.recommended,
        **{name: float(value) for name, value in figures.items() if not math.isnan(value)},
        "count": error_types.count(found, overall.recommended),
        "cost_map_50": error_types.costs(found, len(truth.class_names)),
    }
    write_json(paths.ERRORS, report)
