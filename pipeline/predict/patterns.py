"""Files that a pattern names, part by part: a part that exists as it is written is taken as it is, brackets and all.

The signs are those of Python's glob; unlike there, a folder that may not be read is an error.
"""

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.data.parsing.folder_walk import walk
from yolox_core.errors import InputError

ANY_FOLDERS = "**"


def is_pattern(path: Path) -> bool:
    """Whether a part of it may stand for others."""
    return glob.has_magic(str(path))


def matches(pattern: Path) -> tuple[Path, list[Path]]:
    """The folder that a pattern starts from, and all that it names, sorted. InputError where one may not be read."""
    base, parts = Path(pattern.anchor), list(pattern.parts[1 if pattern.anchor else 0 :])
    while parts and (not glob.has_magic(parts[0]) or os.path.lexists(base / parts[0])):
        base /= parts.pop(0)
    return base, sorted(set(_matches(base, parts)))


def _matches(folder: Path, parts: list[str]) -> Iterator[Path]:
    if not parts:
        yield folder
    elif not folder.is_dir():
        return
    elif parts[0] == ANY_FOLDERS:
        for inner in walk(folder):
            place = folder / inner.path
            yield from _matches(place, parts[1:])
            if len(parts) == 1:
                yield from (place / name for name in (*inner.files, *inner.special))
    elif not glob.has_magic(parts[0]) or os.path.lexists(folder / parts[0]):
        if os.path.lexists(folder / parts[0]):
            yield from _matches(folder / parts[0], parts[1:])
    else:
        for name in fnmatch.filter(_names(folder), parts[0]):
            if not name.startswith(".") or parts[0].startswith("."):
                yield from _matches(folder / name, parts[1:])


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except PermissionError as refused:
        raise InputError(
            f"{folder}: expected a folder that this user may read, got: {refused.strerror}. Give that right (chmod "
            "u+rx), or name another."
        ) from refused
