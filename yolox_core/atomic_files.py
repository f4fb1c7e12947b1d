"""Files and folders that appear whole or not at all.

Each is built beside its final place and renamed into it, so that a refused or killed command leaves nothing
half-written for the next one to trust.
"""

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

LONGEST_NAME = 60  # bytes of a name that its partial file repeats: file systems allow 255
STREAMS = frozenset({"/dev", "/dev/fd", "/proc/self/fd"})  # folders of what a process has open


def write_bytes(path: Path, content: bytes) -> None:
    """Write `path` in one step, making its folder where needed; what is no file (a pipe, a device) is written into."""
    with new_file(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, document: Any) -> None:
    """Write strict JSON (no NaN) in one step; equal documents give equal bytes."""
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_copy(path: Path, source: Path) -> None:
    """Write what `source` holds in one step; where the file system lets two share bytes, nothing is copied."""
    with new_file(path) as partial:
        copy_file(source, partial)


def copy_file(source: Path, target: Path) -> None:
    """The content of `source` as a file of its own; where the file system lets two share bytes, nothing is copied."""
    try:
        with source.open("rb") as read, target.open("wb") as written:
            left = os.fstat(read.fileno()).st_size
            if left == 0:
                raise OSError("empty, or of a kind that does not say its size")
            while left > 0:
                copied = os.copy_file_range(read.fileno(), written.fileno(), left)
                if copied == 0:
                    raise OSError("cut short, or of a kind that cannot be copied so")
                left -= copied
    except (AttributeError, OSError):  # not on Linux, between two file systems, or one of the above
        shutil.copyfile(source, target)


@contextmanager
def new_text(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text to write bit by bit; it takes the place of `path` at the end, or vanishes if the body fails."""
    with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` at the end; `path` itself where that is no file.

    What a command has open, by a name like /dev/stdout, is added to where it is a file: a shell's `>` or `>>` made it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # asked first: a pipe has no name that links lead to
        yield path
        return
    if path.is_file() and str(path.parent) in STREAMS:
        with tempfile.TemporaryDirectory() as aside:
            yield Path(aside, "whole")
            with Path(aside, "whole").open("rb") as whole, path.open("ab") as file:
                shutil.copyfileobj(whole, file)
        return
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = _partial(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of `path` at the end, or vanishes if the body fails."""
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{shortened(path.name)}.{os.getpid()}.partial")


def shortened(name: str, bytes_: int = LONGEST_NAME) -> str:
    """The beginning of a file's name in so many bytes; no sign is cut in two."""
    return os.fsencode(name)[:bytes_].decode(errors="ignore")


def _remove_abandoned(path: Path) -> None:
    """Delete what a process that was killed has left half-made of this file or folder."""
    for partial in path.parent.glob(f".{glob.escape(shortened(path.name))}.*.partial"):
        pid = partial.name.split(".")[-2]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and Path("/proc").exists():
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)
