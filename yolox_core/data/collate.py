"""Samples stacked into a batch: no cap on the number of objects, padding told from objects by a mask."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from yolox_core.structures import Batch, Sample, Targets


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size; objects padded to the largest count among them, which may be 0."""
    count, most = len(samples), max(len(sample.labels_G) for sample in samples)
    height, width = samples[0].image.shape[:2]
    images_BCHW = np.empty((count, 3, height, width), np.uint8)
    boxes_BG4 = np.zeros((count, most, 4), np.float32)
    labels_BG = np.zeros((count, most), np.int64)
    valid_BG = np.zeros((count, most), np.bool_)
    ignore_BG = np.zeros((count, most), np.bool_)
    for row, sample in enumerate(samples):
        objects = len(sample.labels_G)
        cv2.split(sample.image, list(images_BCHW[row]))  # straight into place, twice as fast as a transposed copy
        boxes_BG4[row, :objects] = sample.boxes_G4
        labels_BG[row, :objects] = np.where(sample.ignore_G, 0, sample.labels_G)
        valid_BG[row, :objects] = ~sample.ignore_G
        ignore_BG[row, :objects] = sample.ignore_G
    return Batch(
        images_BCHW=torch.from_numpy(images_BCHW),
        targets=Targets(
            torch.from_numpy(boxes_BG4),
            torch.from_numpy(labels_BG),
            torch.from_numpy(valid_BG),
            torch.from_numpy(ignore_BG),
            any_ignored=bool(ignore_BG.any()),
        ),
        image_ids=tuple(sample.image_id for sample in samples),
        source_sizes=tuple(sample.source_size for sample in samples),
        scales=tuple(sample.scale for sample in samples),
    )
