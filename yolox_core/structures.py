"""The nouns that cross files.

Tensor legend: B images, A anchor points, G objects (padded to the batch's own maximum), C classes, N detections.
Boxes are float32 xyxy, absolute pixels of the network input unless a name says otherwise.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ImageArray = npt.NDArray[np.uint8]  # [height, width, 3] BGR


@dataclass(frozen=True)
class Sample:
    """One training or evaluation image as the network will see it, with its objects; nothing padded."""

    image: ImageArray
    boxes_G4: FloatArray
    labels_G: IntArray
    ignore_G: BoolArray  # crowds and the like: neither object nor background
    image_id: int
    source_size: tuple[int, int]  # (height, width) of the image on disk
    scale: float  # network pixels per source pixel (letterbox); 1.0 where a sample has no single source


@dataclass(frozen=True)
class Targets:
    """The objects of a batch, padded to the largest count in it."""

    boxes_BG4: Tensor  # float32
    labels_BG: Tensor  # int64; 0 where not valid
    valid_BG: Tensor  # bool; an object to be found
    ignore_BG: Tensor  # bool; a region where no point counts as background
    any_ignored: bool = True  # False: none in the batch; known here, so that nobody waits for the device to learn it

    def __getitem__(self, images: slice) -> "Targets":
        """The targets of some of the images; padding stays as it is."""
        return Targets(
            self.boxes_BG4[images],
            self.labels_BG[images],
            self.valid_BG[images],
            self.ignore_BG[images],
            self.any_ignored,
        )

    def pin_memory(self) -> "Targets":
        """The same targets in memory that a GPU can fetch from."""
        return Targets(
            self.boxes_BG4.pin_memory(),
            self.labels_BG.pin_memory(),
            self.valid_BG.pin_memory(),
            self.ignore_BG.pin_memory(),
            self.any_ignored,
        )

    def to(self, device: torch.device) -> "Targets":
        """The same targets on `device`, without waiting for the copy."""
        return Targets(
            self.boxes_BG4.to(device, non_blocking=True),
            self.labels_BG.to(device, non_blocking=True),
            self.valid_BG.to(device, non_blocking=True),
            self.ignore_BG.to(device, non_blocking=True),
            self.any_ignored,
        )


@dataclass(frozen=True)
class Batch:
    """Images of one size with their objects."""

    images_BCHW: Tensor  # uint8 BGR
    targets: Targets
    image_ids: tuple[int, ...]
    source_sizes: tuple[tuple[int, int], ...]  # (height, width)
    scales: tuple[float, ...]  # network pixels per source pixel

    def pin_memory(self) -> "Batch":
        """The same batch where a GPU can fetch it without anybody waiting (torch's loader calls this by name)."""
        return replace(self, images_BCHW=self.images_BCHW.pin_memory(), targets=self.targets.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`, without waiting for the copy."""
        images_BCHW = self.images_BCHW.to(device, non_blocking=True)
        return replace(self, images_BCHW=images_BCHW, targets=self.targets.to(device))

    def tensors(self) -> tuple[Tensor, ...]:
        """All that lies on a device."""
        targets = self.targets
        return self.images_BCHW, targets.boxes_BG4, targets.labels_BG, targets.valid_BG, targets.ignore_BG


@dataclass(frozen=True)
class Assignment:
    """What SimOTA decided for a batch."""

    foreground_BA: Tensor  # bool
    matched_gt_BA: Tensor  # int64, index into G; -1 where background
    matched_iou_BA: Tensor  # float32; 0 where background
    k_BG: Tensor  # int32; how many points each object asked for; 0 where none was to be found
    most_positives: int  # no image has more; known without waiting for the device


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first, in pixels of that source image."""

    boxes_N4_source: FloatArray
    scores_N: FloatArray  # objectness x class probability, 0 to 1
    labels_N: IntArray  # class index

    def __len__(self) -> int:
        return len(self.scores_N)

    def to_json(
        self, file_name: str, image_id: int, class_names: tuple[str, ...], category_ids: tuple[int, ...]
    ) -> list[dict[str, Any]]:
        """COCO results plus names; boxes as [x, y, width, height] in source pixels."""
        return [
            {
                "file_name": file_name,
                "image_id": image_id,
                "category_id": category_ids[int(label)],
                "category_name": class_names[int(label)],
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "score": float(score),
            }
            for (x1, y1, x2, y2), score, label in zip(self.boxes_N4_source, self.scores_N, self.labels_N, strict=True)
        ]
