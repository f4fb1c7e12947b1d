"""params.yaml as a file, read as plain values; yaml_editor.py changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml
from yolox_core.errors import InputError, sentence

_pinned: ContextVar[str | None] = ContextVar("params.yaml", default=None)


def params_text(path: Path = paths.PARAMS) -> str:
    """What the file holds; InputError where there is none, or it is no UTF-8."""
    pinned = _pinned.get()
    if pinned is not None and path == paths.PARAMS:
        return pinned
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run from the project's root, where params.yaml lies.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as foreign:
        raise InputError(
            f"{path}: expected UTF-8 text, got byte 0x{foreign.object[foreign.start]:02x} at {foreign.start}. "
            "Save it as UTF-8."
        ) from foreign


@contextmanager
def pinned_params(text: str) -> Iterator[None]:
    """params.yaml as it was read once, for the block: an edit in the meantime is not read."""
    token = _pinned.set(text)
    try:
        yield
    finally:
        _pinned.reset(token)


def read_params(path: Path = paths.PARAMS) -> dict[str, Any]:
    """What the file says, not checked (pipeline/config/settings.py does that); empty where it says nothing."""
    return parse_params(params_text(path), path)


def parse_params(text: str, path: Path = paths.PARAMS) -> dict[str, Any]:
    """The same of a text that has been read; InputError where it is not YAML."""
    try:
        plain = parse_yaml(text)
    except YAML_ERRORS as broken:
        raise InputError(f"{path}: not YAML: {sentence(broken)}") from broken
    empty: dict[str, Any] = {}
    return empty if plain is None else plain  # what is no mapping is refused with the rest
