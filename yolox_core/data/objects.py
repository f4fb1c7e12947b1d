"""The objects of an image while it is being varied, and those of a whole data set packed into flat arrays.

A list of a hundred thousand small arrays costs every loader worker its own copy, page by page, as reference counts
are touched; four flat arrays and their offsets cost one. Boxes are float32 xyxy, pixels of the image they go with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolox_core.data.records import ImageRecord
from yolox_core.structures import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Objects:
    """Boxes with what they mean; rows belong together. Never changed in place."""

    boxes_G4: FloatArray
    labels_G: IntArray
    ignore_G: BoolArray

    def __len__(self) -> int:
        return len(self.labels_G)

    def moved(self, boxes_G4: FloatArray) -> "Objects":
        """The same objects with their boxes elsewhere."""
        return Objects(boxes_G4.astype(np.float32, copy=False), self.labels_G, self.ignore_G)

    def chosen(self, rows: BoolArray | IntArray) -> "Objects":
        """The objects of a mask, or of a list of rows."""
        return Objects(self.boxes_G4[rows], self.labels_G[rows], self.ignore_G[rows])


def joined(parts: Sequence[Objects]) -> Objects:
    """All objects of `parts`, in order."""
    return Objects(
        np.concatenate([part.boxes_G4 for part in parts]),
        np.concatenate([part.labels_G for part in parts]),
        np.concatenate([part.ignore_G for part in parts]),
    )


@dataclass(frozen=True)
class PackedObjects:
    """Objects of all images one after another; those of image i are rows offsets[i] to offsets[i + 1]."""

    boxes_N4: FloatArray  # source px
    labels_N: IntArray
    ignore_N: BoolArray
    offsets: IntArray

    @classmethod
    def of(cls, images: Sequence[ImageRecord]) -> "PackedObjects":
        """Pack the objects of `images`."""
        counts = [len(image.labels_G) for image in images]
        return cls(
            np.concatenate([np.zeros((0, 4), np.float32)] + [image.boxes_G4.reshape(-1, 4) for image in images]),
            np.concatenate([np.zeros(0, np.int64)] + [image.labels_G for image in images]),
            np.concatenate([np.zeros(0, np.bool_)] + [image.ignore_G for image in images]),
            np.cumsum([0, *counts], dtype=np.int64),
        )

    def of_image(self, index: int) -> Objects:
        """The objects of one image, in its source pixels."""
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return Objects(self.boxes_N4[rows], self.labels_N[rows], self.ignore_N[rows])

    def has_objects(self) -> BoolArray:
        """Whether each image has at least one object."""
        return np.diff(self.offsets) > 0
