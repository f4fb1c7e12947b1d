"""What a released model says of itself, model.json: read without PyTorch."""

import json
from pathlib import Path

from yolox_core.config import SPEC_FILE, DetectorSpec
from yolox_core.errors import InputError

# what helps where numbers among the weights are none
DAMAGED = "Training has diverged, or the file is damaged: take another checkpoint, or export or train it again."


def require_model(path: Path, *files: str) -> None:
    """InputError where there is nothing at `path`, or a folder without model.json and these files."""
    if path.is_dir():
        needed = (SPEC_FILE, *files)
        if not all((path / name).is_file() for name in needed):
            found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
            raise InputError(f"{path}: expected a released model with {' and '.join(needed)}, found {found}.")
    elif not path.is_file():
        raise InputError(f"{path}: no such model. Expected a released folder, a .pt, a .pth or an .onnx file.")


def read_spec(folder: Path) -> DetectorSpec:
    """What a released folder's model.json says; InputError where it is missing or damaged."""
    path = folder / SPEC_FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file. Release the model first: `dvc repro`.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unreadable:
        raise InputError(f"{path}: cannot be read ({unreadable}). Release the model again.") from unreadable
    return parse_spec(text, str(path), "Release the model again.")


def parse_spec(text: str, where: str, advice: str) -> DetectorSpec:
    """The content of a model.json, or of the same in another file's metadata; InputError where it is none."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise InputError(f"{where}: not JSON ({broken}). {advice}") from broken
    return DetectorSpec.from_dict(plain, where)
