"""Settings given by name over params.yaml: those of a preset, and those of the command line (`train.epochs=20`).

They are checked with the rest of params.yaml before anything is written, so that a slip changes nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.flattening import flattened
from pipeline.config.override_words import spaced_mappings
from pipeline.config.params_file import params_text, parse_params, read_params
from pipeline.config.settings import Settings, load_settings, settings_from
from pipeline.config.yaml_editor import YamlEditor
from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml
from yolox_core.errors import InputError, nearest

PRESETS = Path(__file__).parents[1] / "presets"


def preset_settings(preset: str, given: list[str]) -> Settings:
    """params.yaml with a preset and settings given by hand, as `make repro` would run it."""
    return merged([*preset_values(preset), *map(parsed, given)])


def merged(settings: list[tuple[str, Any]]) -> Settings:
    """params.yaml with these settings in the place of its own; InputError where that is illegal."""
    load_settings()  # a broken params.yaml is reported as such
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
        return key, parse_yaml(spaced_mappings(text))
    except YAML_ERRORS as broken:
        raise InputError(
            f"SET: {key}: expected a value as in YAML, got {text!r}. Check its quotes and brackets."
        ) from broken


def changed_params(settings: list[tuple[str, Any]]) -> tuple[str, Settings]:
    """The text of params.yaml with these settings in the place of its own, and what it then says; InputError where that
    is illegal."""
    checked = merged(settings)
    if not settings:
        return params_text(), checked
    editor, wanted = YamlEditor(params_text()), read_params()
    for key, value in settings:
        _put(wanted, key.split("."), value)
        editor.put(key, value)
    text = editor.text()
    if parse_params(text) != wanted:  # an anchor that other keys share, say
        raise InputError(f"{paths.PARAMS}: cannot be changed by name as it is written. Change it by hand.")
    return text, checked


def _put(plain: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = plain.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"SET: '{key}' in {'.'.join(keys)} is a value, not a section.")
        plain = inner
    plain[keys[-1]] = value
