"""Checks `make repro SET="key=value ..."` before DVC writes it into params.yaml, so that a slip changes nothing.

python -m pipeline.commands.override train.epochs=20 model.depth=0.67
"""

import sys
from typing import Any

import yaml

from pipeline import paths
from pipeline.entry import refusals
from pipeline.settings import load_settings, settings_from
from yolox_core.errors import InputError


def check(settings: list[str]) -> None:
    """InputError where a setting is not `key=value`, is unknown, or makes params.yaml illegal."""
    load_settings()
    plain: dict[str, Any] = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8")) or {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise InputError(f"SET: expected key=value, got {setting!r}. Separate several by blanks.")
        _put(plain, key.split("."), yaml.safe_load(text))
    settings_from(plain)


def _put(plain: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = plain.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"SET: '{key}' in {'.'.join(keys)} is a value, not a section.")
        plain = inner
    plain[keys[-1]] = value


if __name__ == "__main__":
    with refusals():
        check(sys.argv[1:])
