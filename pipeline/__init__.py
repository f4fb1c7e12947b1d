"""The product around the detector. Public in Python: `from pipeline import Predictor`, loaded when first used."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Detections": "yolox_core.structures",
    "Found": "pipeline.predict.predictor",  # its name of before, for one release
    "Predictor": "pipeline.predict.predictor",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
