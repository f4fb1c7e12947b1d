"""The YOLOX detector and its training: torch, numpy and OpenCV. No Ray, MLflow, DVC, YAML or web.

Paper: arXiv 2107.08430. Reference: Megvii-BaseDetection/YOLOX. The public names are loaded when first used (their types
stand in __init__.pyi), so that reading a data set does not import the detector.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "AssignConfig": "config",
    "LossConfig": "config",
    "ModelConfig": "config",
    "Predictor": "inference.predictor",
    "SimOTA": "loss.simota",
    "anchor_points": "ops.anchors",
    "build_model": "model.yolox",
    "decode_boxes": "ops.anchors",
    "detection_loss": "loss.detection_loss",
    "load_weights": "model.weights",
    "read_weights": "model.weights",
}
__all__ = list(_PUBLIC)
__path__ = [*__path__, *(f"{folder}/_renamed" for folder in __path__)]  # older names, until the next release


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'yolox_core' has no attribute {name!r}")
    return getattr(import_module(f"yolox_core.{_PUBLIC[name]}"), name)
