"""A batch on its way through training, as tensors: images, their objects, and which anchor points those got.

Tensor legend: B images, A anchor points, G objects (padded to the batch's own maximum). Boxes are float32 xyxy,
absolute pixels of the network input.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


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
        return self._each(lambda tensor: tensor[images])

    def pin_memory(self) -> "Targets":
        """The same targets in memory that a GPU can fetch from."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Targets":
        """The same targets on `device`, without waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All that lies on a device."""
        return self.boxes_BG4, self.labels_BG, self.valid_BG, self.ignore_BG

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        boxes_BG4, labels_BG, valid_BG, ignore_BG = map(change, self.tensors())
        return Targets(boxes_BG4, labels_BG, valid_BG, ignore_BG, self.any_ignored)


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
        return self.images_BCHW, *self.targets.tensors()


@dataclass(frozen=True)
class Assignment:
    """What SimOTA decided for a batch."""

    foreground_BA: Tensor  # bool
    matched_gt_BA: Tensor  # int64, index into G; -1 where background
    matched_iou_BA: Tensor  # float32; 0 where background
    k_BG: Tensor  # int32; how many points each object asked for; 0 where none was to be found
    most_positives: int  # no image has more; known without waiting for the device
