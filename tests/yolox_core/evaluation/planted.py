"""Small data sets and what was found in them: written out box by box, or drawn with every kind of mistake."""

from pathlib import Path
from typing import Any

import numpy as np

from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

# ids out of order and with gaps: a class is a position here and an id there
CATEGORIES = (Category(44, "zebra"), Category(7, "ant"), Category(90, "yak"), Category(3, "never seen"))
SIDE = 400


def truth_of(*images: list[tuple[list[float], int, bool]]) -> DatasetRecords:
    """Images from their objects: box xyxy, class, crowd."""
    return DatasetRecords(
        Path("nowhere"),
        CATEGORIES,
        [
            ImageRecord(
                image_id=100 + number,
                file_name=f"{number}.jpg",
                height=SIDE,
                width=SIDE,
                objects=Objects.of(objects),
            )
            for number, objects in enumerate(images)
        ],
    )


def detection(image: int, box: list[float], label: int, score: float = 0.9) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    bbox = [x1, y1, x2 - x1, y2 - y1]
    return {"image_id": 100 + image, "category_id": CATEGORIES[label].category_id, "bbox": bbox, "score": score}


def random_truth(seed: int, images: int = 20) -> DatasetRecords:
    rng = np.random.default_rng(seed)

    def one() -> list[tuple[list[float], int, bool]]:
        objects = []
        for _ in range(int(rng.integers(0, 9))):
            low, side = rng.uniform(0, 250, 2), np.exp(rng.uniform(np.log(8), np.log(200), 2))
            objects.append(([*low, *(low + side)], int(rng.integers(0, 3)), bool(rng.random() < 0.1)))
        return objects

    return truth_of(*(one() for _ in range(images)))


def random_detections(truth: DatasetRecords, seed: int) -> list[dict[str, Any]]:
    """Objects found more or less well, some twice, some as another class, and many that are not there."""
    rng = np.random.default_rng(seed)
    found = []
    for number, image in enumerate(truth.images):
        for box, label in zip(image.objects.boxes_G4, image.objects.labels_G, strict=True):
            for _ in range(int(rng.choice([0, 1, 2], p=[0.2, 0.6, 0.2]))):
                moved = (box + rng.normal(0, 2, 4)).tolist()
                said = int(label) if rng.random() < 0.9 else int(rng.integers(0, 4))
                found.append(detection(number, moved, said, float(rng.uniform(0.2, 1))))
        for _ in range(int(rng.integers(0, 150))):  # more than the 100 that count
            low, side = rng.uniform(0, 300, 2), rng.uniform(3, 100, 2)
            score = float(rng.choice([0.1, 0.2, rng.uniform(0, 0.5)]))  # equal scores occur
            found.append(detection(number, [*low, *(low + side)], int(rng.integers(0, 3)), score))
    return found
