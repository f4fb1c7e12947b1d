"""What all stages before the report leave, small: data, detections with every kind of mistake, and their reports."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.config import paths
from pipeline.data.coco.coco import write_coco
from pipeline.reports import tables
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

NAMES = ("circle", "<b>bold & $quare$</b>", "x" * 40)  # a class may be called anything
HEIGHT, WIDTH = 60, 90
HEALTH = {
    **{f"assign/positives_per_object/{size}": 3.5 for size in ("small", "medium")},
    **{f"assign/unmatched/{size}": 0.1 for size in ("small", "medium")},
    **{f"assign/level/{stride}": share for stride, share in ((8, 0.5), (16, 0.4), (32, 0.1))},
    **{f"assign/k/{k}": 0.1 for k in range(1, 11)},
}


def records(names: tuple[str, ...], images: int, first: int = 0) -> DatasetRecords:
    """Images of two objects each, every class in turn; the last has none."""
    found = []
    for number in range(images):
        count = 0 if number == images - 1 else 2
        boxes = np.array([[5, 5, 35, 35], [50, 20, 80, 50]], np.float32)[:count] + number % 3
        labels = np.array([(2 * number + at) % len(names) for at in range(count)], np.int64)
        name = f"{first + number}.jpg"
        objects = Objects(boxes, labels, np.zeros(count, np.bool_))
        found.append(ImageRecord(first + number, name, HEIGHT, WIDTH, objects))
    categories = tuple(Category(3 * label + 1, name) for label, name in enumerate(names))
    return DatasetRecords(paths.RAW_IMAGES, categories, found)


def detections(truth: DatasetRecords) -> list[dict[str, Any]]:
    """First objects well, second ones missed, moved or as another class, and one where nothing is."""
    said: list[dict[str, Any]] = []

    def say(image: ImageRecord, label: int, score: float, *bbox: float) -> None:
        category = truth.category_ids[label % len(truth.categories)]
        said.append({"image_id": image.image_id, "category_id": category, "bbox": list(bbox), "score": score})

    for number, image in enumerate(truth.images):
        for at, (box, label, _) in enumerate(image.objects.rows()):
            x, y, side = box[0], box[1], box[2] - box[0]
            if at == 0:
                say(image, label, 0.9 - number / 1000, x, y, side, side)
            elif number % 3 == 1:
                say(image, label, 0.6, x + 15, y, side, side)
            elif number % 3 == 2:
                say(image, label + 1, 0.5, x, y, side, side)
        if not len(image.objects):
            say(image, 0, 0.4, 10, 10, 20, 20)
    return said


def make(names: tuple[str, ...] = NAMES, images: int = 9, found: bool = True) -> DetectorSpec:
    """Write the files into the current folder; the validation split is empty."""
    truth = records(names, images)
    splits = {"train": records(names, images, 1000), "val": records(names, 0), "test": truth}
    spec = DetectorSpec(ModelConfig(len(names), width=0.125), names, truth.category_ids, (64, 64))
    paths.RAW_IMAGES.mkdir(parents=True)
    for image in (image for part in splits.values() for image in part.images):
        cv2.imwrite(
            str(paths.RAW_IMAGES / image.file_name), np.full((HEIGHT, WIDTH, 3), image.image_id % 256, np.uint8)
        )
    for split, part in splits.items():
        write_coco(part, paths.prepared(split))
    tables.write_reports(truth, detections(truth) if found else [])
    documents: dict[Path, Any] = {
        paths.TRAINING: {"run": "x-1", "epochs": 6, "released": "last", "best_epoch": None, "train_seconds": 61.0},
        paths.VALIDATION: {
            "images": 9,
            "findings_by_code": {"image-grayscale": 1, "box-outside": 2},
            "list": [
                {"code": "image-grayscale", "where": "a", "action": "used"},
                {"code": "box-outside", "where": "b", "action": "box dropped"},
                {"code": "box-outside", "where": "c", "action": "box dropped"},
            ],
        },
        paths.MANIFEST: {"data_digest": "d" * 32, "class_names": list(names), "left_out": ["a.jpg", "b.jpg"]},
        paths.EXPORT: {
            "max_difference": 1e-5,
            "map_torch": 0.5,
            "map_onnx": 0.5,
            "map_loss": 0.0,
            "forms": {"onnx": {"map": 0.5, "ms_1_thread": 2.25}, "openvino int8": {"map": 0.4875}},
        },
        paths.REGISTRATION: {"name": "yolox-x", "version": "3", "alias": "challenger", "weights_sha256": "ab" * 32},
        paths.RELEASED / "model.json": spec.to_dict(),
    }
    for path, document in documents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    history = [
        {"epoch": n, "step": 5 * n + 5, "loss": 9 - n, "loss/l1": 0, "learning_rate": 0.01, "map": "", **HEALTH}
        for n in range(6)
    ]
    with paths.HISTORY.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    paths.PARAMS.write_text("seed: 0\ntrain: {epochs: 6}\n", encoding="utf-8")
    return spec
