"""Which images of a YOLO folder form which split: by data.yaml, by Darknet's lists, by the names of folders.

An entry may name a folder, a list of files or several of these. Exports often point a level too high
(`../train/images`) or at their author's machine, so the end of a path counts where the whole of it names nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from pipeline.data.formats.yolo_names import Descriptions, is_plain
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.split_names import (
    held_out,
    leaves_some_to_train,
    split_of_folders,
    split_of_name,
    split_of_word,
    splits_of,
)
from pipeline.data.parsing.text import shown
from yolox_core.data.image_kinds import IMAGE_SUFFIXES

_HEAD = 4096  # bytes
_MOST_ENTRIES = 1000  # of one key
_NOWHERE = 1000  # more than there are places to look at


@dataclass(frozen=True)
class _Entry:
    """One place that is said to hold images of a split."""

    file: str  # which says so
    key: str
    split: str
    value: str
    base: str = ""  # data.yaml's `path`
    alone: bool = False  # no other entry names another place


def listed(
    listing: Listing, descriptions: Descriptions, labels: Sequence[str], *, own: bool, findings: list[Finding]
) -> dict[str, str]:
    """The split of each image that data.yaml names, else a list. `own` says that data.yaml is one of ours.

    `labels` are the folder's label files.
    """
    found = _assigned(listing, _of_yaml(descriptions), findings)
    if not own:
        for entries in (_of_darknet(listing), _of_lists(listing, labels)):
            found = found or _assigned(listing, entries, findings)
    return found


def splits(
    images: Sequence[str], named: Mapping[str, str], descriptions: Descriptions, findings: list[Finding]
) -> Mapping[str, str | None]:
    """The split of each of the `images`, which are data, by what is `listed`, else by the names of folders."""
    if named and not leaves_some_to_train(map(named.get, images)):
        what = "expected some images to train on, got all of them held out by what it says"
        file = descriptions[0][0] if descriptions else "the data set"
        findings.append(Finding("split-conflict", file, what, "no split made"))
        return {}
    return splits_of({image: (named.get(image), split_of_folders(image)) for image in images})


def of_these_images(listing: Listing, descriptions: Descriptions, labels: Sequence[str]) -> Descriptions:
    """The data.yaml files that are of the data, the outermost first, of one depth those that name images here.

    A training program brings those of other sets: they name nothing here, and no label file lies below them.
    """
    place_of = {name: _surest_place(listing, _of_yaml([(name, document)])) for name, document in descriptions}
    inner = {name.rpartition("/")[0] for name in labels}  # thousands lie in one folder
    homes = {str(folder) for name in inner for folder in PurePosixPath(name, "label").parents}
    own = [one for one in descriptions if place_of[one[0]] < _NOWHERE or str(PurePosixPath(one[0]).parent) in homes]
    return sorted(own or descriptions, key=lambda one: (one[0].count("/"), place_of[one[0]]))


def darknets_names(listing: Listing) -> str | None:
    """The file of class names that obj.data speaks of, by as much of its path as lies here."""
    file, said = _obj_data(listing)
    values = [value for key, value in said if key == "names"]
    places = (place for value in values for place in _places(_Entry(file, "names", "", value), _parent(file)))
    return next((place for place in places if place in listing.file_set), None)


def _surest_place(listing: Listing, entries: Sequence[_Entry]) -> int:
    """How far from what is written an entry names something here; `_NOWHERE` where none does."""
    places = ((at, place) for entry in entries for at, place in enumerate(_places(entry, _parent(entry.file))))
    return min((at for at, place in places if _is_there(listing, place)), default=_NOWHERE)


def _is_there(listing: Listing, place: str) -> bool:
    return place in listing.images_under or (place.endswith(".txt") and place in listing.file_set)


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _of_yaml(descriptions: Descriptions) -> list[_Entry]:
    """What the outermost data.yaml says; CVAT writes its subsets' names (`Validation`) for keys."""
    found = []
    for name, document in descriptions[:1]:
        for key, value in document.items():
            split = split_of_word(key) if isinstance(key, str) else None
            for text in _texts(value) if split else []:
                found.append(_Entry(name, key, split or "", text, next(iter(_texts(document.get("path"))), "")))
    return found


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(text) for text in values[:_MOST_ENTRIES] if text and is_plain(text)]


def _of_darknet(listing: Listing) -> list[_Entry]:
    """What obj.data says of splits."""
    return _of_lines(*_obj_data(listing))


def _obj_data(listing: Listing) -> tuple[str, list[tuple[str, str]]]:
    """A *.data file, and its lines of `train = data/train.txt`; of several one that names images here, else the
    outermost.
    """
    found = []
    for name in sorted(listing.ending(".data"), key=lambda name: (name.count("/"), name)):
        pairs = (line.partition("=") for line in listing.read_text(name).split("\n"))
        said = [(key.strip(), value.strip()) for key, _, value in pairs if value.strip()]
        if entries := _of_lines(name, said):
            found.append((_surest_place(listing, entries) == _NOWHERE, name, said))
    found.sort(key=lambda one: one[0])
    return (found[0][1], found[0][2]) if found else ("", [])


def _of_lines(name: str, said: Sequence[tuple[str, str]]) -> list[_Entry]:
    return [_Entry(name, key, split, value) for key, value in said if (split := split_of_word(key))]


def _of_lists(listing: Listing, labels: Sequence[str]) -> list[_Entry]:
    """Lists that are called by their split and lie there without more: train.txt, 2007_test.txt."""
    taken = set(labels)
    others = [name for name in listing.ending(".txt") if name not in taken]
    named = [(name, split) for name in others if (split := split_of_name(PurePosixPath(name).stem))]
    lists = [(name, split) for name, split in named if _names_images(listing, name)]
    return [_Entry(name, "", split, PurePosixPath(name).name) for name, split in lists]


def _names_images(listing: Listing, name: str) -> bool:
    """Whether a text names images in its first lines; others may be large, and are of something else."""
    try:
        with (listing.root / name).open("rb") as file:
            lines = file.read(_HEAD).decode("utf-8", "replace").split("\n")
    except OSError:
        return False
    return any(line.strip().lower().endswith(tuple(IMAGE_SUFFIXES)) for line in lines)


def _assigned(listing: Listing, entries: Sequence[_Entry], findings: list[Finding]) -> dict[str, str]:
    """The split of each image that an entry names."""
    found: dict[str, str] = {}
    trained: set[str] = set()
    alone = len({entry.value for entry in entries}) == 1
    held_out_first = sorted(entries, key=lambda entry: -held_out(entry.split))
    for entry in held_out_first:
        images = list(_images_of(listing, replace(entry, alone=alone), findings))
        if entry.split == "train":
            trained.update(images)
        for image in images:
            found.setdefault(image, entry.split)  # an image in two lists is not trained on
    if trained and not any(found[image] == "train" for image in trained):
        entry = held_out_first[-1]
        what = f"expected images of its own for `{entry.key or entry.value}`, got those of another split"
        findings.append(Finding("split-conflict", entry.file, what, "that split not held out"))
        return {image: "train" if image in trained else split for image, split in found.items()}
    return found


def _images_of(listing: Listing, entry: _Entry, findings: list[Finding]) -> Sequence[str]:
    """The images that an entry names; a finding where it names none, or only by the end of its path."""
    where = f"{entry.file}: {entry.key}" if entry.key else entry.file
    home = _parent(entry.file)
    for place in _places(entry, home):
        images = _in_place(listing, place, home, entry, findings)
        if images is None:
            continue
        if os.path.isabs(entry.value):
            what = f"expected a place in this folder, got {shown(entry.value)}"
            findings.append(Finding("split-path-elsewhere", where, what, f"{place} taken"))
        return images
    if entry.key:
        what = f"expected a folder of images or a list of them, got {shown(entry.value)}, which names nothing here"
        findings.append(Finding("split-names-nothing", where, what, "names of folders count instead"))
    return []


def _places(entry: _Entry, home: str) -> Iterator[str]:
    """Where what an entry names may lie, the surest first; names relative to the folder."""
    value = entry.value.replace("\\", "/")
    parts = [part for part in PurePosixPath(value).parts if part not in ("..", "/") and "*" not in part]
    value = value.rpartition("/")[0] if "*" in value else value
    inner = "/".join(parts)
    for place in (f"{home}/{entry.base}/{value}", f"{home}/{value}", f"{home}/{inner}", f"{entry.base}/{value}", value):
        yield os.path.normpath(place)
    for start in range(1, len(parts)):
        is_general = parts[start:] == ["images"] and not entry.alone
        if is_general or (any(map(split_of_name, parts[:start])) and not any(map(split_of_name, parts[start:]))):
            return  # what is left says no more of which split it is
        yield os.path.normpath(f"{home}/{'/'.join(parts[start:])}")


def _in_place(listing: Listing, place: str, home: str, entry: _Entry, findings: list[Finding]) -> Sequence[str] | None:
    """The images in a folder or of a list; None where there is neither."""
    if not place.endswith(".txt") or place not in listing.file_set:
        return listing.images_under.get(place)
    tails = [line.strip() for line in listing.read_text(place).split("\n") if line.strip()]
    images = [_listed(listing, tail, home, entry.base) for tail in tails]
    found = [image for image in images if image]
    lost = [tail for tail, image in zip(tails, images, strict=True) if not image]
    if lost and (found or entry.key):
        what = f"expected names of images, got {len(lost)} of {len(tails)} that match none, first {shown(lost[0])}"
        findings.append(Finding("unknown-name-in-list", place, what, "names ignored"))
    return found


def _listed(listing: Listing, line: str, home: str, base: str) -> str | None:
    """The image that a line names, by as much of its path as lies here."""
    parts = PurePosixPath(line.replace("\\", "/")).parts
    tails = ("/".join(parts[start:]) for start in range(len(parts)) if parts[start] not in ("..", "/"))
    return listing.find_image([f"{home}/{base}/{line}", *(f"{home}/{tail}" for tail in tails)])
