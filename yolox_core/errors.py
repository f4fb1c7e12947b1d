"""The one error that means "the input is wrong, not the program", and how the errors of others are quoted in it.

Commands print it as a single line and exit with 2; everything else is a defect and keeps its traceback.
"""

import difflib
import errno
import os
import re
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

NUMBERED = re.compile(r"\[Errno \d+\] ")
FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_TEXTS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "disk is full")
NO_ROOM_BYTES = 2**20
LONGEST = 300


class InputError(ValueError):
    """`<where>: expected X, got Y. <what to do>`, on one line and without signs that a terminal would obey."""

    def __init__(self, message: str) -> None:
        super().__init__(on_one_line(" ".join(message.split())))


def on_one_line(text: str) -> str:
    r"""`text` as it may be printed: each sign that is no letter, mark or blank as Python escapes it.

    So line breaks, escape sequences, signs that change the direction of writing, and half surrogates of names that are
    not UTF-8 become \n, \x1b, \u202e, \ud800.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or the list of known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."


def require(condition: bool, where: str, expected: str, got: object, do: str = "") -> None:
    """InputError where a condition does not hold: what was expected, what it is, and what to do."""
    if not condition:
        raise InputError(f"{where}: expected {expected}, got {got!r}. {do}")


def require_kind(condition: bool, where: str, expected: str, got: object) -> None:
    """`require` for what a file brings, whose text may be endless."""
    if not condition:
        raise InputError(f"{where}: expected {expected}, got {reprlib.repr(got)[:200]}. Release the model again.")


def reason(failed: BaseException, longest: int = LONGEST) -> str:
    """On one line, cut short, without a stop; its kind where it says nothing. A disk that is full is named."""
    text = NUMBERED.sub("", " ".join(str(failed).split()))[:longest].rstrip(" .:,;") or type(failed).__name__
    disk = full_disk(failed)
    return text if disk is None else f"{text} ({disk} is full)"


def sentence(failed: BaseException, longest: int = LONGEST) -> str:
    """The same with its stop, before a sentence of ours."""
    return f"{reason(failed, longest)}."


def full_disk(failed: BaseException) -> Path | None:
    """The disk on which the system found no room, if that was it and it has none still."""
    chain = list(_chain(failed))
    is_full = any(isinstance(each, OSError) and each.errno in FULL for each in chain)
    if not is_full and not any(text in str(failed) for text in FULL_TEXTS):
        return None
    files = [each.filename for each in chain if isinstance(each, OSError)]
    named = [os.fsdecode(file) for file in files if isinstance(file, (str, bytes, os.PathLike))]  # or a descriptor
    temporary = os.environ.get("TMPDIR") or "/tmp"
    for place in (*named, ".", temporary, os.path.expanduser("~"), "/dev/shm"):
        with suppress(OSError):  # a folder that is gone, or may not be entered: another is the full one
            if (folder := _existing(Path(place))) and not _has_room(folder):
                return _mount_point(folder)
    return None


def _chain(failed: BaseException) -> Iterator[BaseException]:
    """The error and those beneath it."""
    seen: set[int] = set()
    current: BaseException | None = failed
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _existing(place: Path) -> Path | None:
    return next((folder for folder in (place, *place.parents) if folder.is_dir()), None)


def _has_room(folder: Path) -> bool:
    state = os.statvfs(folder)
    files_left = state.f_favail > 0 or state.f_files == 0  # some file systems do not count them
    return state.f_bavail * state.f_frsize >= NO_ROOM_BYTES and files_left


def _mount_point(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return folder
