"""Models fetched from a registry, kept once for all projects of this user: `~/.cache/yolox-pipeline/models`.

A place is named by the sha256 of what was registered. It holds `released`, to be read, and `files.json`, the sha256 of
each file as it was fetched. Files are held against it whenever they are used; what was damaged is fetched again. The
longest unused make room. The folder may be deleted at any time.
"""

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from pipeline.config.digests import folder_digests
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.errors import on_one_line, reason

VARIABLE = "YOLOX_MODELS"  # of the environment: the folder where models are kept
DEFAULT_FOLDER = "~/.cache/yolox-pipeline/models"
LIMIT_BYTES = 5 << 30
RELEASED, DIGESTS = "released", "files.json"


def cache_root() -> Path:
    """The folder where models are kept; RuntimeError where this user has no home to keep them in."""
    return Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER).expanduser()


def kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder kept as `name`. Where it is not there whole, `fetch` writes it into the new folder that it is given.

    Where nothing can be kept, that is said, and it lies in a temporary folder until this process ends.
    """
    try:
        return _kept(cache_root(), name, fetch)
    except (OSError, RuntimeError) as failed:  # no home; a folder that is read-only; a file system without locks
        print(
            f"note: {os.environ.get(VARIABLE) or DEFAULT_FOLDER}: expected to keep fetched models here, got: "
            f"{reason(failed)}. Name another folder by {VARIABLE}; until then models are fetched each time.",
            file=sys.stderr,
        )
        return _kept(_until_the_end(), name, fetch)


def _kept(root: Path, name: str, fetch: Callable[[Path], None]) -> Path:
    from filelock import FileLock

    place = root / name
    if _damage(place) is not None:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "lock"):
            damage = _damage(place)  # another process may have fetched it meanwhile
            if damage is not None:
                if place.exists():
                    print(on_one_line(f"note: {place}: {damage}. It is fetched again."), file=sys.stderr)
                _fill(place, fetch)
                _make_room(root, place)
    with suppress(OSError):  # a folder that others have filled may be read-only
        os.utime(place)  # used just now
    return place / RELEASED


def _damage(place: Path) -> str | None:
    """How what lies there differs from what was fetched; None where it does not."""
    try:
        expected = json.loads((place / DIGESTS).read_text(encoding="utf-8"))
        found = folder_digests(place / RELEASED)
    except (OSError, ValueError, RecursionError) as unreadable:
        return f"expected a model as it was fetched, got: {unreadable}"
    if not isinstance(expected, dict):
        return f"expected the digests of a model in {DIGESTS}, got something else"
    if found == expected:
        return None
    changed = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return f"expected a model as it was fetched, got other bytes in {', '.join(changed)}"


def _fill(place: Path, fetch: Callable[[Path], None]) -> None:
    with new_folder(place) as partial:
        released = partial / RELEASED
        released.mkdir()
        fetch(released)
        write_json(partial / DIGESTS, folder_digests(released))


def _make_room(root: Path, newest: Path) -> None:
    """Delete what a killed process has left half-made, and the longest unused beyond the limit."""
    for partial in root.glob(".*.partial"):  # this process holds the lock, so nobody is fetching
        shutil.rmtree(partial, ignore_errors=True)
    places = [path.parent for path in root.glob(f"*/{DIGESTS}") if path.parent != newest]
    left = LIMIT_BYTES - _size(newest)
    for place in sorted(places, key=lambda place: place.stat().st_mtime_ns, reverse=True):
        left -= _size(place)
        if left < 0:
            shutil.rmtree(place, ignore_errors=True)


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in (place / RELEASED).rglob("*") if path.is_file())


@cache
def _until_the_end() -> Path:
    """A temporary folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="yolox-models-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
