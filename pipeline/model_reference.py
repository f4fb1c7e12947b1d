"""What `--model` may be: a released folder, a .pt, a Megvii .pth, an .onnx, an .xml, or models:/name@alias."""

from pathlib import Path

from pipeline.source import user_path
from pipeline.tracking.resolve import PREFIX, resolve


def locate(reference: str) -> Path:
    """Where the model lies on this machine; InputError where there is none."""
    return resolve(reference) if reference.startswith(PREFIX) else user_path(reference)
