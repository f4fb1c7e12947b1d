"""The files of a data set's folder, walked once, and how annotations find their images among them."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.data.parsing.encodings import decoded
from pipeline.data.parsing.folder_walk import walk
from pipeline.data.parsing.image_match import match
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.picture_names import PICTURE_SUFFIXES, UNREAD_SUFFIXES
from pipeline.data.parsing.text import folded, is_utf8
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.errors import InputError


@dataclass(frozen=True)
class Listing:
    """Names relative to `root`, with forward slashes, sorted; hidden files and folders are not data."""

    root: Path
    files: tuple[str, ...]
    encoding: str | None = None  # of the texts that are not UTF-8 and do not say what they are
    called: str = ""  # what the root is in messages, where it is a copy of ours; empty: by its path
    special: tuple[str, ...] = ()  # pipes, sockets, devices, links to themselves, and empty folders called like images

    @classmethod
    def of(cls, root: Path, encoding: str | None = None, called: str = "") -> "Listing":
        """Walk `root`; InputError where it is no folder, one in it may not be read, or a name in it is not UTF-8."""
        said = called or str(root)
        if not root.is_dir():
            got = "a file" if root.exists() else "no such folder"
            raise InputError(f"{said}: expected a folder of annotated images, got {got}. Check the path.")
        names, special = _walked(root, said)
        foreign = next((name for name in (*names, *special) if not is_utf8(name)), None)
        if foreign is not None:
            shown = os.fsencode(foreign).decode("utf-8", "backslashreplace")
            raise InputError(f"{said}: expected file names in UTF-8, got {shown}. Rename that file or its folder.")
        return cls(root, tuple(names), encoding, called, tuple(special))

    def shown(self, name: str = "") -> str:
        """The folder, or a file of it, for messages."""
        root = self.called or str(self.root)
        return f"{root.rstrip('/')}/{name}" if name else root

    @cached_property
    def images(self) -> tuple[str, ...]:
        return tuple(name for name in self.files if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)

    @cached_property
    def file_set(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def images_under(self) -> dict[str, list[str]]:
        """The images at any depth below each folder; `.` is the root."""
        found = defaultdict(list)
        for name in self.images:
            for folder in PurePosixPath(name).parents:
                found[str(folder)].append(name)
        return dict(found)

    def ending(self, *suffixes: str) -> list[str]:
        """Files whose names end so, whatever the case."""
        return [name for name in self.files if name.lower().endswith(suffixes)]

    def exists(self, name: str) -> bool:
        """Whether there is a file behind a name of the walk, not a link to nowhere."""
        return os.path.isfile(os.path.join(self.root, name))

    def read_text(self, name: str) -> str:
        """A text that must be read for the data set to mean what it says, its lines ended by \\n; InputError where it
        cannot be.
        """
        try:
            text = decoded((self.root / name).read_bytes(), self.encoding)
            return text.replace("\r\n", "\n").replace("\r", "\n")
        except ValueError as broken:
            raise InputError(f"{self.shown(name)}: {broken}.") from broken
        except OSError as failed:
            raise InputError(
                f"{self.shown(name)}: expected a text file, got: {failed.strerror}. Mend or remove it."
            ) from failed

    def find_image(self, candidates: Iterable[str]) -> str | None:
        """The first candidate that is an image here; else the only image that is called like one of them.

        Only names of the walk are answered, so no annotation can reach a file outside the folder.
        """
        names = [os.path.normpath(name.replace("\\", "/")) for name in candidates]
        for name in names:
            if name in self.image_set:
                return name
        for name in names:
            alike = self.images_by_name.get(folded(PurePosixPath(name).name), [])
            if len(alike) == 1:
                return alike[0]
        return None

    def locate(self, annotation_file: str, file_name: str = "", stem: str = "") -> Match:
        """The image that `annotation_file` calls `file_name`, else one of that `stem`, as image_match.py has it."""
        return match(self, annotation_file, file_name, stem)

    def describe(self) -> str:
        """What lies here, for messages: `12 .jpg, 3 .txt`."""
        counts = Counter(PurePosixPath(name).suffix.lower() or "without suffix" for name in self.files)
        return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(6)) or "no file"

    @cached_property
    def image_set(self) -> frozenset[str]:
        return frozenset(self.images)

    @cached_property
    def images_by_name(self) -> dict[str, list[str]]:
        """The images called so, folded, in any folder."""
        return _grouped(self.images, lambda path: path.name)

    @cached_property
    def images_by_stem(self) -> dict[str, list[str]]:
        """The images of a name without suffix, folded, in any folder."""
        return _grouped(self.images, lambda path: path.stem)

    @cached_property
    def unread_pictures(self) -> dict[str, list[str]]:
        """The pictures of kinds that are not read, by their names and by their stems, folded."""
        names = self.ending(*UNREAD_SUFFIXES)
        return {**_grouped(names, lambda path: path.stem), **_grouped(names, lambda path: path.name)}


def _grouped(names: Iterable[str], key: Callable[[PurePosixPath], str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in names:
        found[folded(key(PurePosixPath(name)))].append(name)
    return dict(found)


def _walked(root: Path, called: str) -> tuple[list[str], list[str]]:
    """The names of files, and of what is none."""
    names: list[str] = []
    special: list[str] = []
    pictures: list[str] = []  # folders that are called like one
    for folder in walk(root, called):
        names += map(folder.inner, folder.files)
        special += map(folder.inner, folder.special)
        if PurePosixPath(folder.path).suffix.lower() in PICTURE_SUFFIXES:
            pictures.append(folder.path)
    special += [picture for picture in pictures if not any(name.startswith(f"{picture}/") for name in names)]
    return sorted(names), sorted(special)
