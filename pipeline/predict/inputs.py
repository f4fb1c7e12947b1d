"""What `yolox predict` is to look at: images, folders, globs, videos and cameras, in order and by different names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.config.user_paths import real_path, user_path
from pipeline.data.parsing.folder_listing import Listing
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
    names = sorted(name for name in (*listing.files, *listing.special) if PurePath(name).suffix.lower() in _SUFFIXES)
    if not names:
        raise InputError(f"{folder}: expected images or videos ({_shown()}), found none.")
    return names


def _of_pattern(pattern: Path, word: str) -> tuple[Path, list[Path]]:
    """Where it starts, and the images and videos that it names; a folder only where it is empty and called like one."""
    base, found = matches(pattern)
    called = [match for match in found if match.suffix.lower() in _SUFFIXES]
    files = [match for match in called if not (match.is_dir() and any(match.iterdir()))]
    if not files:
        raise InputError(f"{word}: expected images or videos ({_shown()}), got {len(found)} other matches.")
    return base, files


def _entry(path: Path, name: str) -> tuple[str, Source]:
    if not is_utf8(str(path)):
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: expected a file name in UTF-8. Rename that file or its folder.")
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    return os.path.abspath(path), Clip(name, path) if is_video else Still(name, path)


_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES


def _shown() -> str:
    return ", ".join(sorted(_SUFFIXES))
