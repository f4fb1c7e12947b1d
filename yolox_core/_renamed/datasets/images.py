"""`yolox_core.datasets.images`, for models that an earlier release registered."""

from yolox_core.data.image_io import decode_image

__all__ = ["decode_image"]
