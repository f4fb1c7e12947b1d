"""A YAML file edited with its comments kept."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml


class YamlEditor:
    """A YAML text whose values can be changed: comments, quotes and order stay."""

    def __init__(self, text: str) -> None:
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 4096
        self._yaml.representer.add_representer(
            type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
        )
        self.document: Any = self._yaml.load(text) or CommentedMap()

    def put(self, name: str, value: Any) -> Any:
        """Set the value of a dotted name, `section.key`, at any depth; returns the one before."""
        *sections, key = name.split(".")
        inner = self.document
        for section in sections:
            if inner.get(section) is None:
                inner[section] = CommentedMap()
            inner = inner[section]
        before = inner.get(key)
        inner[key] = _written(value)
        return before

    def text(self) -> str:
        """The text with all changes."""
        file = io.StringIO()
        self._yaml.dump(self.document, file)
        return file.getvalue()


def _written(value: Any) -> Any:
    """A plain value as it stands in the file: lists and mappings on one line, text in quotes where it needs them."""
    if isinstance(value, dict):
        mapping = CommentedMap((_written(key), _written(entry)) for key, entry in value.items())
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(map(_written, value))
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and not _is_plain(value):
        return DoubleQuotedScalarString(value)
    return value


def _is_plain(text: str) -> bool:
    """Whether every reader takes the bare word for this text."""
    try:
        return text.isascii() and text.isprintable() and parse_yaml(text) == text
    except YAML_ERRORS:
        return False
