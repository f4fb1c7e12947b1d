"""Nested values under dotted names, as params.yaml's are called: `train.epochs`."""

from collections.abc import Iterator, Mapping
from typing import Any


def flattened(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value under its dotted name, in order; an empty section counts as a value."""
    for name, value in plain.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
