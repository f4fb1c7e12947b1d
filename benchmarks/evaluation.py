"""The metrics of 2,000 images and 180,000 detections: faster-coco-eval, as during training, beside pycocotools."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import alternate, hardware
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.evaluation.coco import measure
from yolox_core.structures import Objects

IMAGES, OBJECTS, DETECTIONS, CLASSES = 2000, 7, 90, 80  # objects and detections an image
SIDE = 640
ROUNDS = 3


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`evaluation_speedup`; the reference is pycocotools, whatever --reference says."""
    truth, detections = draw()
    ours = measure(truth, detections, "faster-coco-eval").metrics
    theirs = measure(truth, detections, "pycocotools").metrics
    pair = alternate(
        lambda: measure(truth, detections, "faster-coco-eval"),
        lambda: measure(truth, detections, "pycocotools"),
        ROUNDS,
    )
    return {
        "hardware": hardware("cpu"),
        "images": IMAGES,
        "detections": len(detections),
        "largest_difference": max(abs(ours[name] - theirs[name]) for name in theirs),
        "same_names": ours.keys() == theirs.keys(),
        "map": theirs["map"],
        "evaluation_speedup": pair.speedup,
        **pair.row(),
    }


def draw(seed: int = 0) -> tuple[DatasetRecords, list[dict[str, Any]]]:
    """Random objects; a third of the detections lie near one, with its class most of the time."""
    rng = np.random.default_rng(seed)
    categories = tuple(Category(index + 1, f"class {index}") for index in range(CLASSES))
    images, detections = [], []
    for index in range(IMAGES):
        boxes, labels = _boxes(rng, OBJECTS), rng.integers(0, CLASSES, OBJECTS)
        images.append(_record(index, boxes, labels))
        found, classes = _boxes(rng, DETECTIONS), rng.integers(0, CLASSES, DETECTIONS)
        near = rng.integers(0, OBJECTS, DETECTIONS // 3)
        found[: len(near)] = boxes[near] + rng.normal(0, 6, (len(near), 4))
        classes[: len(near)] = np.where(rng.random(len(near)) < 0.8, labels[near], classes[: len(near)])
        for (x1, y1, x2, y2), label, score in zip(
            found.tolist(), classes.tolist(), rng.random(DETECTIONS), strict=True
        ):
            bbox = [x1, y1, max(x2 - x1, 1.0), max(y2 - y1, 1.0)]
            entry = {"image_id": index + 1, "category_id": label + 1, "bbox": bbox, "score": float(score)}
            detections.append(entry)
    return DatasetRecords(Path(), categories, images), detections


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    sides = np.exp(rng.uniform(np.log(10), np.log(300), (count, 2)))
    low = rng.uniform(0, SIDE - 10, (count, 2))
    return np.concatenate((low, np.minimum(low + sides, SIDE)), axis=1)


def _record(index: int, boxes: np.ndarray, labels: np.ndarray) -> ImageRecord:
    return ImageRecord(
        file_name=f"{index}.jpg",
        image_id=index + 1,
        height=SIDE,
        width=SIDE,
        objects=Objects(boxes.astype(np.float32), labels, np.zeros(len(labels), np.bool_)),
    )
