"""Settings given by name over params.yaml: those of a preset, and those of the command line (`train.epochs=20`).

They are checked with the rest of params.yaml before anything is written, so that a slip changes nothing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.flattening import flattened
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings, load_settings, settings_from
from yolox_core.errors import InputError, nearest

PRESETS = Path(__file__).parents[1] / "presets"


def preset_settings(preset: str, given: list[str]) -> Settings:
    """params.yaml with a preset and settings given by hand, as `make repro` would run it."""
    return merged([*preset_values(preset), *map(parsed, given)])


def merged(settings: list[tuple[str, Any]]) -> Settings:
    """params.yaml with these settings in the place of its own; InputError where that is illegal."""
    load_settings()  # a broken params.yaml is told as such
    plain = read_params()
    for key, value in settings:
        _put(plain, key.split("."), value)
    return settings_from(plain)


def preset_values(name: str) -> Iterator[tuple[str, Any]]:
    """A preset's settings under their dotted names; InputError where there is none of that name."""
    path = PRESETS / f"{name}.yaml"
    if not path.is_file():
        known = [entry.stem for entry in PRESETS.glob("*.yaml")]
        raise InputError(f"PRESET: expected one of {', '.join(sorted(known))}, got {name!r}. {nearest(name, known)}")
    yield from flattened(read_params(path))


def parsed(setting: str) -> tuple[str, Any]:
    """`train.epochs=20` as its dotted name and its value."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise InputError(f"SET: expected key=value, got {setting!r}. Separate several by blanks.")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as broken:
        raise InputError(f"SET: {key}: not a value: {text!r}.") from broken


def in_hydra(value: Any) -> str:
    """A value in Hydra's grammar, in which DVC reads it: JSON, but for text only quotes are escaped."""
    if isinstance(value, str):
        if "${" in value or value.endswith("\\"):
            raise InputError(f"{value!r}: expected no '${{' and no final backslash. Write it into params.yaml by hand.")
        return '"' + value.replace('"', '\\"') + '"'
    return json.dumps(value, ensure_ascii=False)


def _put(plain: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = plain.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"SET: '{key}' in {'.'.join(keys)} is a value, not a section.")
        plain = inner
    plain[keys[-1]] = value
