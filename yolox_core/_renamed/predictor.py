"""`yolox_core.predictor`, for models that an earlier release registered."""

from yolox_core.inference.predictor import Predictor

__all__ = ["Predictor"]
