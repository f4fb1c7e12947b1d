"""What `yolox predict` is to look at: images, folders, globs, videos and cameras, in order and by different names."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.user_paths import real_path, user_path
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.picture_names import UNREAD_SUFFIXES
from pipeline.data.parsing.text import is_utf8
from pipeline.predict.patterns import is_pattern, matches
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.errors import InputError, on_one_line

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm"})
CAMERA = "camera:"


@dataclass(frozen=True)
class Still:
    """An image file."""

    name: str  # as the outputs call it: relative to the folder that was asked for
    path: Path


@dataclass(frozen=True)
class Clip:
    """A video file, or a camera."""

    name: str
    path: Path | None  # None: a camera
    device: int = 0  # the camera's number

    @property
    def folder(self) -> str:
        """What its frames lie in, and its drawn copy is called by: the file's name, or camera0."""
        return self.name.replace(":", "") if self.path is None else self.name


Source = Still | Clip


def find(words: Sequence[str]) -> list[Source]:
    """Everything that the words name, each file once; InputError where one names nothing.

    A folder's images are called by their path in it; of several words, by the folder's own name before that.
    """
    found: dict[str, Source] = {}  # by absolute path
    names: dict[str, str] = {}
    for word in words:
        for place, source in _named(word, alone=len(words) == 1):
            if place in found:
                continue
            if source.name in names:
                raise InputError(
                    f"{word}: expected files of different names, got {names[source.name]} and {place}. "
                    "Give the folder that holds both."
                )
            found[place], names[source.name] = source, place
    return list(found.values())


def check_apart(option: str, folder: Path, words: Sequence[str], sources: Sequence[Source]) -> None:
    """InputError where an output folder lies among the images: it would replace them, or be predicted next time."""
    place = real_path(folder)
    asked = {real_path(path) for path in map(user_path, words) if path.is_dir()}
    holding = {real_path(path) for path in {source.path.parent for source in sources if source.path}}
    if place in holding or asked & {place, *place.parents}:
        raise InputError(f"{option} {folder}: expected a folder apart from the images, got one among them.")


def only_cameras(sources: Sequence[Source]) -> bool:
    """Ctrl-C is how a camera is ended; it cuts short everything else."""
    return all(isinstance(source, Clip) and source.path is None for source in sources)


def _named(word: str, alone: bool) -> Iterator[tuple[str, Source]]:
    """(absolute path, source) of what one word names."""
    if word.startswith(CAMERA):
        yield word, _camera(word)
        return
    path = user_path(word)
    if path.is_dir():
        prefix = "" if alone else f"{real_path(path).name}/"
        for name in _of_folder(path):
            yield _entry(path / name, f"{prefix}{name}")
    elif os.path.lexists(path):
        yield _entry(path, path.name)
    elif is_pattern(path):
        base, files = _of_pattern(path, word)
        for match in files:
            yield _entry(match, match.relative_to(base).as_posix())
    else:
        raise InputError(f"{word}: no such image or folder.")


def _camera(word: str) -> Clip:
    number = word.removeprefix(CAMERA)
    if not number.isdecimal() or len(number) > 3:
        raise InputError(f"{on_one_line(word)}: expected camera:<number>, got {number!r}. The first is camera:0.")
    return Clip(word, None, int(number))


def _of_folder(folder: Path) -> list[str]:
    """Images and videos below it, by name; hidden files are left out, as in a data set.

    With what is called so and is no file: that is said when its turn comes, and the others are not held up.
    """
    listing = Listing.of(folder)
    names = map(Path, (*listing.files, *listing.special))
    return list(map(str, _readable(names, f"{folder}: expected images or videos ({_shown()}), found none")))


def _of_pattern(pattern: Path, word: str) -> tuple[Path, list[Path]]:
    """Where it starts, and the images and videos that it names; a folder only where it is empty and called like one."""
    base, found = matches(pattern)
    files = [match for match in found if match.suffix.lower() not in _SUFFIXES or not _is_full_folder(match)]
    none = f"{word}: expected images or videos ({_shown()}), got {len(found)} other matches"
    return base, _readable(files, none)


def _is_full_folder(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _readable(paths: Iterable[Path], none: str) -> list[Path]:
    """Those of a kind that is read, and a line on standard error about other pictures.

    InputError, which begins with `none`, where all are others.
    """
    by_suffix = defaultdict(list)
    for path in paths:
        by_suffix[path.suffix.lower()].append(path)
    unread = [f"{len(by_suffix[suffix])} {suffix}" for suffix in sorted(UNREAD_SUFFIXES & by_suffix.keys())]
    left_out = f"{' and '.join(unread)} not read: no decoder here opens them. Save them as JPEG or PNG."
    readable = [path for suffix in _SUFFIXES & by_suffix.keys() for path in by_suffix[suffix]]
    if not readable:
        raise InputError(f"{none}. {left_out}" if unread else f"{none}.")
    if unread:
        print(f"warning: {left_out}", file=sys.stderr)
    return sorted(readable, key=str)


def _entry(path: Path, name: str) -> tuple[str, Source]:
    if not is_utf8(str(path)):
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: expected a file name in UTF-8. Rename that file or its folder.")
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    return os.path.abspath(path), Clip(name, path) if is_video else Still(name, path)


_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES


def _shown() -> str:
    return ", ".join(sorted(_SUFFIXES))
