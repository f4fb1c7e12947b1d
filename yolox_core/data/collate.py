"""Samples stacked into a batch: no cap on the number of objects, padding told from objects by a mask."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from yolox_core.data.batch import Batch, Targets
from yolox_core.structures import Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size; objects padded to the largest count among them, which may be 0."""
    count, most = len(samples), max(len(sample.objects) for sample in samples)
    height, width = samples[0].image.shape[:2]
    images_BCHW = np.empty((count, 3, height, width), np.uint8)
    boxes_BG4 = np.zeros((count, most, 4), np.float32)
    labels_BG = np.zeros((count, most), np.int64)
    valid_BG = np.zeros((count, most), np.bool_)
    ignore_BG = np.zeros((count, most), np.bool_)
    for row, sample in enumerate(samples):
        objects, end = sample.objects, len(sample.objects)
        cv2.split(sample.image, list(images_BCHW[row]))  # straight into place, twice as fast as a transposed copy
        boxes_BG4[row, :end] = objects.boxes_G4
        labels_BG[row, :end] = np.where(objects.ignore_G, 0, objects.labels_G)
        valid_BG[row, :end] = ~objects.ignore_G
        ignore_BG[row, :end] = objects.ignore_G
    boxes, labels, valid, ignore = map(torch.from_numpy, (boxes_BG4, labels_BG, valid_BG, ignore_BG))
    return Batch(
        images_BCHW=torch.from_numpy(images_BCHW),
        targets=Targets(boxes, labels, valid, ignore, any_ignored=bool(ignore_BG.any())),
        image_ids=tuple(sample.image_id for sample in samples),
        source_sizes=tuple(sample.source_size for sample in samples),
        scales=tuple(sample.scale for sample in samples),
    )
