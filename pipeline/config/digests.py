"""sha256 of files, texts and plain values, as hexadecimal digits."""

import hashlib
import json
from pathlib import Path
from typing import Any


def file_sha256(path: Path) -> str:
    """Of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def value_sha256(value: Any) -> str:
    """Of a plain value as JSON, whatever the order of its keys."""
    return text_sha256(json.dumps(value, sort_keys=True))
