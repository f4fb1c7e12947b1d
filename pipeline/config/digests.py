"""sha256 of files, texts and plain values, as hexadecimal digits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def file_sha256(path: Path) -> str:
    """Of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Of each file that lies directly in a folder, by its name."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def listing_sha256(digests: Mapping[str, str]) -> str:
    """Of files by their names and digests: one digest for a folder of them."""
    return text_sha256("\n".join(f"{name}\t{digest}" for name, digest in sorted(digests.items())))


def text_sha256(text: str) -> str:
    """Of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def value_sha256(value: Any) -> str:
    """Of a plain value as JSON, whatever the order of its keys."""
    return text_sha256(json.dumps(value, sort_keys=True))
