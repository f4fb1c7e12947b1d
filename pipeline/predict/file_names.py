"""Names of files and folders made from names that anything may stand in: safe, short and distinct."""

import hashlib
import os
from collections.abc import Sequence
from itertools import chain, count
from pathlib import PurePath

from yolox_core.atomic_files import shortened

LONGEST = 255  # bytes of a name; of every common file system
_FOLDER_BYTES = 100  # of a folder made from a class name
_DIGEST = 8  # characters that tell two shortened names apart
_TAKEN = frozenset('/\\:*?"<>|')  # by one system or another


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder's name for each: printable, at most 100 bytes long, none twice where case does not count."""
    made: list[str] = []
    for name in names:
        plain = _fitting(_printable(name) or "_", _FOLDER_BYTES, of=name)
        others = (_fitting(f"{plain}_{number}", _FOLDER_BYTES, of=f"{name} {number}") for number in count(2))
        taken = {one.casefold() for one in made}
        made.append(next(one for one in chain([plain], others) if one.casefold() not in taken))
    return made


def with_ending(path: PurePath, ending: str) -> PurePath:
    """`path` with more at its end, its name shortened where a file system would refuse it."""
    return path.with_name(_fitting(path.name, LONGEST - len(os.fsencode(ending)), of=path.name) + ending)


def _printable(name: str) -> str:
    return "".join(sign if sign.isprintable() and sign not in _TAKEN else "_" for sign in name).strip(". ")


def _fitting(name: str, longest: int, of: str) -> str:
    """The name itself, or its beginning with a digest of what it is `of`."""
    if len(os.fsencode(name)) <= longest:
        return name
    digest = hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{shortened(name, longest - _DIGEST - 1)}~{digest}"
