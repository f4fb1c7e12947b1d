"""Paths that users give: to read, where the folder of images is never one that the pipeline writes, and to write."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from pipeline.config import paths
from yolox_core.errors import InputError

STANDARD_OUTPUT = frozenset({"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
WRITTEN = (paths.RAW, paths.VALID_ANNOTATIONS.parent, paths.PREPARED, paths.RUNS, paths.TRAINED, paths.RELEASED)


def user_path(text: str | Path) -> Path:
    """A path with `~` and `~name` replaced; InputError where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as unknown:
        raise InputError(f"{text}: expected a path, got an unknown user. Write the folder out.") from unknown


def output_path(path: Path) -> Path:
    """Where a command is to write a file; `-` is standard output."""
    return Path("/dev/stdout") if str(path) == "-" else user_path(path)


@contextmanager
def messages_aside(outputs: Iterable[Path | None]) -> Iterator[None]:
    """In the block, what is printed goes to standard error where one of the outputs takes standard output."""
    taken = any(path is not None and str(output_path(path)) in STANDARD_OUTPUT for path in outputs)
    with redirect_stdout(sys.stderr) if taken else nullcontext():
        yield


def real_path(path: Path) -> Path:
    """Where links lead; a link to itself stays as it is, which `Path.resolve` would end the program for."""
    return Path(os.path.realpath(path))


def source_folder(source: str) -> Path:
    """The folder that `data.source` names. InputError where DVC would delete it, or the pipeline read its own work."""
    folder = user_path(source)
    place = real_path(folder)
    for path in WRITTEN:
        written = path.resolve()  # `data` may be a link to a larger disk
        if place == written or place in written.parents or written in place.parents:
            raise InputError(
                f"data.source: expected a folder apart from what the pipeline writes, got {source!r}, which is, holds "
                f"or lies in {path}. Move the images elsewhere."
            )
    return folder


def check_raw_is_ours() -> None:
    """InputError where data/raw holds somebody's files: DVC empties it before `ingest` writes there."""
    if paths.RAW.is_dir() and any(paths.RAW.iterdir()) and not paths.RAW_FINDINGS.is_file():
        raise InputError(
            f"{paths.RAW}: this folder is the pipeline's own and would be emptied, but holds files that it has not "
            "written. Move them elsewhere, and name that folder in data.source."
        )
