"""Starting weights by name: `model.weights: coco`, the reference's published COCO weights of each size.

They are fetched once and kept for all projects of this user in `~/.cache/yolox-pipeline/weights`. A file is taken only
where its sha256 is a known one, whatever its name, and whoever put it there.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.config.digests import file_sha256
from pipeline.config.settings import ModelSettings
from pipeline.config.source_spec import WEB, shown_address
from yolox_core.config import SIZES
from yolox_core.errors import InputError, reason

if TYPE_CHECKING:
    from pipeline.data.sources.http import WebFile

COCO = "coco"  # as the whole of model.weights
FOLDER, SERVER = "YOLOX_WEIGHTS_DIR", "YOLOX_WEIGHTS_URL"  # of the environment
PART = ".part"  # of a file that is being fetched
DEFAULT_FOLDER = "~/.cache/yolox-pipeline/weights"
DEFAULT_SERVER = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
LICENSE = "Apache-2.0, Megvii"


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, known by its content."""

    sha256: str
    size: int  # bytes


Table = Mapping[str, tuple[WeightsFile, ...]]  # by model.size: the published file, then others that may take its place

# Each published digest stands in several public records that are independent of each other: docs/training.md
COCO_FILES: Table = {
    "nano": (
        WeightsFile("cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b", 7_694_953),
        # recovered from the published ONNX file: the same function to 2e-4, in other numbers
        WeightsFile("eff7236155b71ece2607e384588aad30cf4838f1dbcb359b556ac864b9df9403", 3_941_907),
    ),
    "tiny": (WeightsFile("9de513de589ac98bb92d3bca53b5af7b9acfa9b0bacb831f7999d0f7afaee8f0", 40_755_013),),
    "s": (WeightsFile("f55ded7181e1b0c13285c56e7790b8f0e8f8db590fe4edb37f0b7f345c913a30", 72_089_125),),
    "m": (WeightsFile("60076992b32da82951c90cfa7bd6ab70eba9eda243e08b940a396f60ac2d19b6", 203_114_461),),
    "l": (WeightsFile("1e6b7fa6240375370b2a8a8eab9066b3cdd43fd1d0bfa8d2027fd3a51def2917", 434_357_141),),
    "x": (WeightsFile("5652330b6ae860043f091b8f550a60c10e1129f416edfdb65c259be6caf355cf", 793_463_373),),
}


def file_name(size: str) -> str:
    """What the published file of a model.size is called."""
    return f"yolox_{size}.pth"


def recognized(digest: str | None) -> str | None:
    """Which published weights a file with this sha256 holds, for people; None where it is no such file."""
    return next(
        (
            f"YOLOX-{size}, COCO ({LICENSE})"
            for size, files in COCO_FILES.items()
            if digest in {file.sha256 for file in files}
        ),
        None,
    )


def pinned_digest(model: ModelSettings) -> str:
    """sha256 of the published file for this network, from the table alone; InputError where none was published."""
    _check_architecture(model)
    return COCO_FILES[model.size][0].sha256


def held_digest(model: ModelSettings) -> str | None:
    """sha256 of the file that is kept for this network; None where it would have to be fetched."""
    _check_architecture(model)
    kept = _held(_folder(), COCO_FILES[model.size])
    return None if kept is None else file_sha256(kept)


def published_file(model: ModelSettings) -> Path:
    """The weights for this network on this machine, fetched if need be; InputError where that fails."""
    _check_architecture(model)
    return bring(model.size)


def bring(size: str, table: Table = COCO_FILES) -> Path:
    """The weights of a model.size on this machine, fetched if need be; InputError where that fails."""
    folder, files = _folder(), table[size]
    place = folder / file_name(size)
    kept = _held(folder, files)
    if kept is None:
        with _locked(folder):
            kept = _held(folder, files)  # another process may have fetched it meanwhile
            if kept is None:
                _check_absent(place, files[0])
                kept = _fetch(size, files, place)
    return kept


def _check_architecture(model: ModelSettings) -> None:
    """InputError where the factors make another network than the published one of that size."""
    wanted = dict(zip(("width", "depth", "depthwise"), SIZES[model.size], strict=False))
    found = model.architecture(num_classes=1)
    others = [name for name, value in wanted.items() if getattr(found, name) != value]
    if others:
        got = ", ".join(f"{name} {getattr(found, name)}" for name in others)
        expected = ", ".join(f"{name} {wanted[name]}" for name in others)
        raise InputError(
            f"model.weights: {COCO}: expected YOLOX-{model.size} as it was published ({expected}), got {got}. Set "
            f"{' and '.join(f'model.{name}' for name in others)} to null, or model.weights to a file or null."
        )


def _folder() -> Path:
    given = os.environ.get(FOLDER) or DEFAULT_FOLDER
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError as homeless:
        raise _unkept(given, homeless) from homeless


def _held(folder: Path, files: tuple[WeightsFile, ...]) -> Path | None:
    """The file in this folder, under any name, that is one of these."""
    digests = {file.size: file.sha256 for file in files}
    try:
        found = (path for path in sorted(folder.glob("*")) if path.is_file() and path.suffix != PART)
        return next((path for path in found if _is_one_of(path, digests)), None)
    except OSError as unreadable:
        raise _unkept(folder, unreadable) from unreadable


def _is_one_of(path: Path, digests: Mapping[int, str]) -> bool:
    expected = digests.get(path.stat().st_size)
    return expected is not None and file_sha256(path) == expected


def _check_absent(place: Path, file: WeightsFile) -> None:
    """InputError where something else has the file's name: a part of it, or weights of the user's own."""
    if place.exists():
        raise InputError(
            f"{place}: expected the published file ({file.size} bytes, sha256 {file.sha256}), got another one or a "
            f"part of it ({place.stat().st_size} bytes). Move it away, or delete it: then it is fetched."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone with the folder, so that two commands fetch once."""
    from filelock import FileLock

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, RuntimeError) as failed:  # read-only; a file in its place; a file system without locks
        raise _unkept(folder, failed) from failed
    try:
        yield
    finally:
        lock.release()


def _unkept(folder: Path | str, failed: Exception) -> InputError:
    return InputError(
        f"{folder}: expected a folder to keep weights in, got: {reason(failed)}. Name another one in {FOLDER}."
    )


def _fetch(size: str, files: tuple[WeightsFile, ...], place: Path) -> Path:
    from pipeline.data.sources.http import download

    file = _at_the_server(size, files, place)
    print(
        f"fetching the COCO weights of YOLOX-{size} ({files[0].size / 2**20:.1f} MiB, {LICENSE}) from {file.shown}",
        file=sys.stderr,
    )
    part = place.with_name(f"{place.name}{PART}")
    download(file, part)
    part.replace(place)
    return place


def _at_the_server(size: str, files: tuple[WeightsFile, ...], place: Path) -> "WebFile":
    from pipeline.data.sources.http import WebFile

    server = os.environ.get(SERVER) or DEFAULT_SERVER
    if not server.startswith(WEB):
        raise InputError(f"{SERVER}: expected an address with http:// or https://, got {server!r}.")
    try:
        parts = urlsplit(server)
    except ValueError as wrong:  # an IPv6 address without its end
        raise InputError(
            f"{SERVER}: expected an address with http:// or https://, got {server!r} ({wrong})."
        ) from wrong
    address = parts._replace(path=f"{parts.path.rstrip('/')}/{place.name}").geturl()
    by_hand = f"Put that file at {place}, or name a folder that holds it in {FOLDER}."
    return WebFile(
        address,
        shown_address(address),
        tuple(file.sha256 for file in files),
        kind=f"the COCO weights of YOLOX-{size}",
        if_other=f"{by_hand} {SERVER} names another server.",
        if_unreached=by_hand,
        if_full=f"name another folder in {FOLDER}",
    )
