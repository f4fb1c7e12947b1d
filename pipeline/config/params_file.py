"""params.yaml as a file: read as plain values, edited with its comments kept."""

import io
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from pipeline.config import paths


def read_params(path: Path = paths.PARAMS) -> dict[str, Any]:
    """What the file says, not checked (pipeline/config/settings.py does that); empty where it says nothing."""
    plain: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return plain


class YamlEditor:
    """A YAML text whose values can be changed: comments, quotes and order stay."""

    def __init__(self, text: str) -> None:
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 4096
        self._yaml.representer.add_representer(
            type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
        )
        self.document: Any = self._yaml.load(text)

    def put(self, name: str, value: Any) -> Any:
        """Set the value of a dotted name, `section.key`; returns the one before."""
        section, _, key = name.partition(".")
        if self.document.get(section) is None:
            self.document[section] = {}
        before = self.document[section].get(key)
        self.document[section][key] = value
        return before

    def text(self) -> str:
        """The text with all changes."""
        file = io.StringIO()
        self._yaml.dump(self.document, file)
        return file.getvalue()
