"""Runs a detector over the images of a data set, one by one, and returns COCO results.

One image at a time, as `yolox predict` and the web service do it, so that the figures of record do not depend on a
batch. evaluator.py is the batched way of the training loop.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from yolox_core.config import DetectorSpec, EvaluateConfig
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords
from yolox_core.inference.postprocess import OutputNotFinite
from yolox_core.structures import Detections, ImageArray


class ImageDetector(Protocol):
    """What finds objects in images: a Predictor, or another form of the same model."""

    spec: DetectorSpec

    def predict(self, images: Sequence[ImageArray], confidence: float, nms_iou: float) -> list[Detections]:
        """Detections of each image, best first."""


def detect_all(predictor: ImageDetector, truth: DatasetRecords, config: EvaluateConfig) -> list[dict[str, Any]]:
    """Detections of every image, one by one: COCO results plus the class name and the file name.

    OutputNotFinite for the first image to which the network's answer is no number.
    """
    found: list[dict[str, Any]] = []
    for image in truth.images:
        pixels = read_image(truth.path(image), predictor.spec.value_range)
        try:
            (detections,) = predictor.predict([pixels], config.confidence, config.nms_iou)
        except OutputNotFinite as broken:
            raise broken.of(image.file_name) from None
        found += detections.to_json(image.file_name, image.image_id)
    return found
