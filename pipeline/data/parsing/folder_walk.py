"""Every folder below one, each once, and what lies in it. A folder that may not be read ends it: data are not left out
in silence.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yolox_core.errors import InputError


@dataclass(frozen=True)
class WalkedFolder:
    """A folder with the names of what lies in it; hidden files and folders are no data."""

    path: str  # relative to the root, with forward slashes; empty for the root itself
    files: list[str]  # regular ones, and links to nowhere
    special: list[str]  # pipes, sockets, devices, links to themselves
    folders: list[str]

    def inner(self, name: str) -> str:
        """A name in it, relative to the root."""
        return f"{self.path}/{name}" if self.path else name


def walk(root: Path, called: str = "") -> Iterator[WalkedFolder]:
    """From the root downwards, by name. InputError where a folder may not be read; `called` is the root in it.

    Linked folders are common in data sets and entered, too; one that leads back up is entered only once.
    """
    seen: set[str] = set()
    waiting = [""]
    while waiting:
        path = waiting.pop()
        place = os.path.join(root, path) if path else os.fspath(root)
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            folder = _listed(path, place)
        except OSError as refused:
            shown = f"{(called or str(root)).rstrip('/')}/{path}".rstrip("/") or "/"
            raise InputError(
                f"{shown}: expected a folder that this user may read, got: {refused.strerror}. Give that right "
                "(chmod u+rx), or take the folder out."
            ) from refused
        yield folder
        waiting += [folder.inner(name) for name in reversed(folder.folders)]


def _listed(path: str, place: str) -> WalkedFolder:
    found = WalkedFolder(path, [], [], [])
    with os.scandir(place) as entries:
        for entry in entries:
            if not _hidden(entry.name):
                getattr(found, _kind(entry)).append(entry.name)
    if (found.files or found.folders) and not _may_enter(place):  # its names, but nothing behind them
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
    for names in (found.files, found.special, found.folders):
        names.sort()
    return found


def _may_enter(place: str) -> bool:
    return os.access(place, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _kind(entry: "os.DirEntry[str]") -> str:
    """The list that an entry belongs to; PermissionError for a link into a folder that may not be read."""
    try:
        if entry.is_dir():
            return "folders"
        is_file = entry.is_file() or not os.path.exists(entry.path)
    except PermissionError:
        raise
    except OSError as looped:
        return "special" if looped.errno == errno.ELOOP else "files"
    return "files" if is_file else "special"


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
