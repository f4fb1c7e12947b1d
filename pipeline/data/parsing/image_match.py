"""Which image an annotation is of: the picture that is written wins.

An exact path that exists comes first, then the full written name anywhere in the folder, the stem alone last. Of
several that are called so, one in a folder of images goes before one in a folder of masks or drawn copies, then the
nearer one. Only names of the walk are answered, so no annotation can reach a file outside of its folder.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Protocol

from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.picture_names import PICTURE_SUFFIXES, kind_of_folder
from pipeline.data.parsing.split_names import split_of_file, split_of_folders
from pipeline.data.parsing.text import folded

UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts this before the name of an uploaded file
_WORDS = 8  # of an annotation file's name, that may be called like a folder of images


class Images(Protocol):
    """What is asked of a folder's listing; names by what they are called, as text.folded has it."""

    @property
    def image_set(self) -> frozenset[str]: ...
    @property
    def images_by_name(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def images_by_stem(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def unread_pictures(self) -> Mapping[str, Sequence[str]]: ...
    def exists(self, name: str, /) -> bool:
        """Whether there is a file behind it."""


def match(listing: Images, near: str, written: str = "", stem: str = "") -> Match:
    """The image that the annotation file `near` calls `written`, else one called `stem` with any suffix.

    `stem` is the own name of an annotation file of one image; without it the written name's is taken.
    """
    written = os.path.normpath(written.replace("\\", "/")) if written else ""
    search = _Search(listing, near, written, split_of_folders(near) if stem else split_of_file(near))
    exact = search.exact() if written else None
    if exact is not None:
        return Match(exact)
    found = search.best(listing.images_by_name.get(_base(written), ()), by_name=True) if written else Match()
    for other_stem in (stem, _stem(written)):
        if found.image is None and found.got == "none" and other_stem:
            found = search.best(listing.images_by_stem.get(folded(other_stem), ()), by_name=False)
    if found.image is None and found.got == "none":
        bare, bare_stem = _as_uploaded(written), UPLOADED.sub("", stem)
        if (bare, bare_stem) != (written, stem):
            return match(listing, near, bare, bare_stem)
        return Match(got=_instead(listing, written, stem))
    if found.image is not None and not stem and _has_other_suffix(found.image, written):
        return replace(found, doubt=f"expected an image called {_name(written)}, got {found.image}")
    return found


def match_files(listing: Images, written: Mapping[str, str]) -> dict[str, Match]:
    """The image of each annotation file, by the name that is written in it, else its own.

    A name that several files carry says nothing of those that have an image of their own name: copies of a template.
    """
    own = {file: PurePosixPath(file).stem for file in written}
    found = {file: match(listing, file, name, own[file]) for file, name in written.items()}
    times = Counter(one.image for one in found.values())
    for file, one in found.items():
        if one.image is None or folded(PurePosixPath(one.image).stem) == folded(own[file]):
            continue
        by_stem = match(listing, file, stem=own[file])
        if by_stem.image not in (None, one.image):
            also = f"expected one image, got {one.image} by the name in it and {by_stem.image} by its own"
            found[file] = by_stem if times[one.image] > 1 else replace(one, doubt=also)
    return found


@dataclass(frozen=True)
class _Search:
    """One annotation's search: where it lies, what it calls its image, and its split."""

    listing: Images
    near: str
    written: str
    split: str | None

    def exact(self) -> str | None:
        """The image at the written path, from the annotation's folder or one where images lie; copies of it last."""
        copy = None
        for base in self._bases():
            path = f"{base}/{self.written}" if base else self.written
            path = os.path.normpath(path) if self.written.startswith("..") else path
            if path in self.listing.image_set and self.can_be(path):
                if not _is_copy(path):
                    return path
                copy = copy or path
        # a bare name is no path: there may be the image itself elsewhere
        is_only = len(self.listing.images_by_name.get(_base(self.written), ())) == 1
        return copy if "/" in self.written or is_only else None

    def _bases(self) -> Iterator[str]:
        """The folders from which a path may be meant, the likeliest first."""
        home = _folder(self.near)
        for folder in (home, _folder(home)):
            yield folder
            yield f"{folder}/images" if folder else "images"
        yield from ("", "images")
        for word in PurePosixPath(self.near).stem.split("_")[:_WORDS]:
            yield from (word, f"images/{word}", f"{word}/images")

    def best(self, names: Sequence[str], by_name: bool) -> Match:
        """The one that is meant among images of one name or stem.

        Of several that differ in nothing none counts by name, and the first by stem; `got` and `doubt` name two.
        """
        usable = [name for name in names if self.can_be(name)]
        if len(usable) <= 1:
            return Match(usable[0]) if usable else self._refused(names)
        (first, image), (second, other) = sorted((self._rank(name), name) for name in usable)[:2]
        if first != second:
            return Match(image)
        if by_name:
            return Match(got=f"{image} and {other}, and nothing that says which")
        return Match(image, doubt=f"expected one image, got {image} and {other}")

    def can_be(self, image: str) -> bool:
        """Whether it is a file, and not another split's: each split has a 0001.jpg of its own."""
        there = split_of_folders(image) if self.split else None
        return (there is None or there == self.split) and self.listing.exists(image)

    def _refused(self, names: Sequence[str]) -> Match:
        if not names:
            return Match()
        why = "of another split" if self.listing.exists(names[0]) else "a link to nowhere"
        return Match(got=f"{names[0]}, {why}")

    def _rank(self, image: str) -> tuple[int, bool, int, bool, bool]:
        """The lower the surer: how much of the written path agrees, what lies there, how near, in which case."""
        is_other_case = _name(image) != _name(self.written)
        shared = _shared_tail(_folder(image), _folder(self.written))
        is_elsewhere = kind_of_folder(_folder(image)) != "images"
        return -shared, _is_copy(image), _distance(image, self.near), is_elsewhere, is_other_case


def _is_copy(image: str) -> bool:
    return kind_of_folder(_folder(image)) in ("made", "annotations")


def _has_other_suffix(image: str, written: str) -> bool:
    return _stem(written) != _base(written) and _base(image) != _base(written)


def _stem(written: str) -> str:
    """The written name without a picture's suffix; some are written without one, and hold a dot."""
    base = _base(written)
    return PurePosixPath(base).stem if PurePosixPath(base).suffix in PICTURE_SUFFIXES else base


def _as_uploaded(written: str) -> str:
    """The written name as it was before Label Studio took the file in."""
    folder, slash, name = written.rpartition("/")
    return f"{folder}{slash}{UPLOADED.sub('', name)}"


def _instead(listing: Images, written: str, stem: str) -> str:
    """What lies here in an image's place: a picture of a kind that is not read."""
    by_stem = folded(stem) or _stem(written)
    names = listing.unread_pictures.get(_base(written)) or listing.unread_pictures.get(by_stem)
    return f"{names[0]}, of a kind that is not read: convert it to .png" if names else "none"


def _base(name: str) -> str:
    return folded(_name(name))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _shared_tail(one: str, other: str) -> int:
    """How many folders of two paths agree, from the innermost upwards."""
    count = 0
    for a, b in zip(reversed(one.lower().split("/")), reversed(other.lower().split("/")), strict=False):
        if a != b or not a:
            break
        count += 1
    return count


def _distance(one: str, other: str) -> int:
    """Steps through the folders from one file to another."""
    a, b = one.split("/")[:-1], other.split("/")[:-1]
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return len(a) + len(b) - 2 * shared
