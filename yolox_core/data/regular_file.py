"""Reads files that other people name: only regular ones, so that nothing waits for the other end of a pipe."""

import errno
import os
import stat
from pathlib import Path

# where a shell puts what is piped into a command, which somebody writes and ends
_OF_A_SHELL = frozenset({"/dev/stdin", "/dev/fd", "/proc/self/fd"})
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotAFile(OSError):
    """A folder, pipe, socket or device where a file is expected; `strerror` says which."""


def kind(mode: int) -> str:
    """What a file is by its st_mode: a folder, a named pipe ..., empty for a regular file."""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")


def read_regular(path: Path | str) -> bytes:
    """A file's bytes; OSError where it cannot be read, NotAFile where it is no regular file."""
    require_regular(path)
    with open(path, "rb") as file:
        return file.read()


def require_regular(path: Path | str) -> None:
    """OSError where there is nothing, NotAFile where it is no regular file; nothing is opened."""
    found = kind(os.stat(path).st_mode)
    if found and not (found == "a named pipe" and _is_of_a_shell(path)):
        raise NotAFile(errno.EISDIR if found == "a folder" else errno.ENXIO, f"{found}, not a file", str(path))


def _is_of_a_shell(path: Path | str) -> bool:
    return not _OF_A_SHELL.isdisjoint((str(path), os.path.dirname(path)))
