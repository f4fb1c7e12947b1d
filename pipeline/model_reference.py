"""What `--model` may be: a released folder, a .pt, a Megvii .pth, an .onnx, an .xml, or models:/name@alias."""

from pathlib import Path

from pipeline.source import user_path
from pipeline.tracking.resolve import PREFIX, resolve
from yolox_core.config import ModelConfig
from yolox_core.model.weights import load_weights, read_weights
from yolox_core.model.yolox import YOLOX


def locate(reference: str) -> Path:
    """Where the model lies on this machine; InputError where there is none."""
    return resolve(reference) if reference.startswith(PREFIX) else user_path(reference)


def initial_weights(reference: str | None, model: ModelConfig) -> str | None:
    """Where the weights to start from lie; InputError where they are of another architecture."""
    if reference is None:
        return None
    path = locate(reference).resolve()
    load_weights(YOLOX(model), read_weights(path))
    return str(path)
