"""DVC stage `evaluate`: the trained detector on the held-out test split, which training never touches.

Images go one by one through the same Predictor that people use, and pycocotools is the judge.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.settings import Settings
from yolox_core.config import DetectorSpec, EvaluateConfig
from yolox_core.datasets.atomic import write_json, write_text
from yolox_core.datasets.coco import read_coco
from yolox_core.datasets.images import read_image
from yolox_core.datasets.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.evaluation import errors
from yolox_core.evaluation.coco import Measurement, measure
from yolox_core.evaluation.confusion import confusion
from yolox_core.evaluation.scenes import Scene, scenes
from yolox_core.evaluation.thresholds import THRESHOLDS, Curve, curve
from yolox_core.predictor import Predictor
from yolox_core.structures import Detections, ImageArray

RECALLS = [index / 100 for index in range(101)]  # where COCO samples precision
BACKGROUND = "(background)"  # in confusion.csv, where on one side there is no object
DIGITS = 6


def run(settings: Settings) -> None:
    """Write metrics.json, detections.json, and what explains them: tables by class, threshold and cause."""
    truth = test_split()
    figures = write_reports(truth, detect_all(Predictor.load(paths.TRAINED), truth, settings.evaluate))
    named = ", ".join(f"{name} {figures[name]:.3f}" for name in ("map", "map_50"))
    print(f"evaluate: {named} on {len(truth.images)} test images")


def write_reports(truth: DatasetRecords, detections: list[dict[str, Any]]) -> dict[str, float]:
    """All that is said of these detections; returns the figures."""
    measured = measure(truth, detections)
    together = scenes(truth, detections)
    overall = curve(together)
    boxes = sum(len(image.labels_G) for image in truth.images)
    write_json(paths.DETECTIONS, detections)
    _write_classes(measured)
    _write_thresholds(truth, measured, together, overall)
    _write_confusion(truth, together, overall.recommended)
    _write_errors(truth, together, overall)
    write_json(paths.METRICS, {**measured.metrics, "images": len(truth.images), "boxes": boxes})
    return measured.metrics


def test_split() -> DatasetRecords:
    """The held-out images; InputError where there are none to measure on."""
    path = paths.prepared("test")
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run `dvc repro`, or `yolox prepare` first.")
    truth = read_coco(path, paths.RAW_IMAGES)
    if all(image.ignore_G.all() for image in truth.images):
        raise InputError(f"{path}: expected test images with objects, found none. Raise data.split.test.")
    return truth


class Finder(Protocol):
    """What finds objects in images: a Predictor, or another form of the same model."""

    spec: DetectorSpec

    def predict(self, images: Sequence[ImageArray], confidence: float, nms_iou: float) -> list[Detections]:
        """Detections of each image, best first."""


def detect_all(predictor: Finder, truth: DatasetRecords, config: EvaluateConfig) -> list[dict[str, Any]]:
    """Detections of every image, one by one, as DESIGN's JSON."""
    spec = predictor.spec
    found: list[dict[str, Any]] = []
    for image in truth.images:
        pixels = read_image(truth.image_root / image.file_name)
        (detections,) = predictor.predict([pixels], config.confidence, config.nms_iou)
        found += detections.to_json(image.file_name, image.image_id, spec.class_names, spec.category_ids)
    return found


def _write_classes(measured: Measurement) -> None:
    rows = [[c.name, c.images, c.boxes, c.map, c.map_50, c.ar_100] for c in measured.classes]
    _write_csv(paths.PER_CLASS, ["class", "images", "boxes", "map", "map_50", "ar_100"], rows)
    curve = [
        [c.name, recall, precision]
        for c in measured.classes
        for recall, precision in zip(RECALLS, c.precision_at_recall.tolist(), strict=True)
    ]
    _write_csv(paths.PRECISION_RECALL, ["class", "recall", "precision"], curve)


def _write_thresholds(truth: DatasetRecords, measured: Measurement, found: list[Scene], overall: Curve) -> None:
    """A row a score; the classes stand beside the whole, so that `dvc plots` can draw the whole alone."""
    labels = {name: label for label, name in enumerate(truth.class_names)}
    curves = {"": overall} | {f"class/{c.name}/": curve(found, labels[c.name]) for c in measured.classes}
    columns = {
        f"{prefix}{name}": ["" if math.isnan(value) else round(value, DIGITS) for value in values.tolist()]
        for prefix, of in curves.items()
        for name, values in (("precision", of.precision_T), ("recall", of.recall_T), ("f1", of.f1_T))
    }
    rows = zip(THRESHOLDS, *columns.values(), strict=True)
    _write_csv(paths.THRESHOLD, ["threshold", *columns], [list(row) for row in rows])


def _write_confusion(truth: DatasetRecords, found: list[Scene], score: float) -> None:
    names = [*truth.class_names, BACKGROUND]
    counts = confusion(found, len(truth.class_names), score)
    rows = [[names[true], names[said], int(counts[true, said])] for true, said in zip(*counts.nonzero(), strict=True)]
    _write_csv(paths.CONFUSION, ["truth", "found", "count"], rows)


def _write_errors(truth: DatasetRecords, found: list[Scene], overall: Curve) -> None:
    at = overall.best
    figures = {"precision": overall.precision_T[at], "recall": overall.recall_T[at], "f1": overall.f1_T[at]}
    report = {
        "threshold": overall.recommended,
        **{name: float(value) for name, value in figures.items() if not math.isnan(value)},
        "count": errors.count(found, overall.recommended),
        "cost_map_50": errors.costs(found, len(truth.class_names)),
    }
    write_json(paths.ERRORS, report)


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    stage_main(run)
