"""Small data sets on disk: smooth images (so that interpolation differs little) with boxes of one's own choice."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import ImageArray, Objects

Boxes = Sequence[tuple[float, float, float, float]]
MakeRecords = Callable[..., DatasetRecords]


def smooth_image(height: int, width: int, seed: int) -> ImageArray:
    """Random colours that change slowly."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def make_records(tmp_path: Path) -> MakeRecords:
    """make_records(boxes of image 0, boxes of image 1, ...): landscape and portrait images in turn."""

    def make(*boxes: Boxes, ignore: bool = False) -> DatasetRecords:
        images = []
        for index, of_image in enumerate(boxes):
            height, width = (90, 150) if index % 2 == 0 else (140, 80)
            name = f"image {index}.png"
            cv2.imwrite(str(tmp_path / name), smooth_image(height, width, index))
            array = np.array(of_image, np.float32).reshape(-1, 4)
            count = len(array)
            labels, ignored = np.arange(count) % 3, np.full(count, ignore)
            images.append(ImageRecord(100 + index, name, height, width, Objects(array, labels, ignored)))
        return DatasetRecords(tmp_path, tuple(Category(i, f"class {i}") for i in range(3)), images)

    return make
