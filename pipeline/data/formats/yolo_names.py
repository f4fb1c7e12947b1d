"""What the files around YOLO labels say of the names of the classes. Splits: yolo_splits.py."""

from collections.abc import Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Any

from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.text import first_double, is_utf8, shown
from yolox_core.data.records import LARGEST_ID
from yolox_core.errors import InputError

Descriptions = Sequence[tuple[str, dict[str, Any]]]  # (file name, content) of each data.yaml, the outermost first
_NOT_LABELS = frozenset({"classes.txt", "labels.txt", "names.txt", "train.txt", "val.txt", "valid.txt", "test.txt"})


def is_names_file(name: str) -> bool:
    """Whether a .txt holds class names, a list of images, or a readme, not labels."""
    base = PurePosixPath(name).name.lower()
    return base in _NOT_LABELS or base.startswith("readme")


def class_names(listing: Listing, descriptions: Descriptions) -> tuple[str, ...] | None:
    """The names in the order of class indices; None where no file holds them; InputError where one is double."""
    for name, document in descriptions:
        return _unique(_from_yaml(document["names"], f"{listing.shown(name)}: names"), name)
    for name in _names_files(listing):
        return _unique(_from_lines(listing, name), name)
    return None


def differing(listing: Listing, descriptions: Descriptions) -> list[Finding]:
    """A finding where a list of names that is called like the one that counts holds others: of two exports, perhaps."""
    files = [] if descriptions else _names_files(listing)
    alike = [name for name in files[1:] if PurePosixPath(name).name == PurePosixPath(files[0]).name]
    other = next((name for name in alike if _from_lines(listing, name) != _from_lines(listing, files[0])), None)
    if other is None:
        return []
    return [Finding("class-names-differ", other, f"expected the names of {files[0]}, got others", f"{files[0]} counts")]


def _names_files(listing: Listing) -> list[str]:
    return nearest_first([name for name in listing.files if _holds_names(name)])


def _from_lines(listing: Listing, name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in listing.read_text(name).splitlines() if line.strip())


def _holds_names(name: str) -> bool:
    base = PurePosixPath(name).name.lower()
    return base in ("classes.txt", "_darknet.labels") or base.endswith(".names")


def nearest_first(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: (name.count("/"), name))


def _from_yaml(names: list[Any] | dict[Any, Any], where: str) -> tuple[str, ...]:
    if isinstance(names, list):
        return tuple(_name(name, where) for name in names)
    by_index = {_name(key, where): _name(name, where) for key, name in names.items()}
    if set(by_index) != {str(index) for index in range(len(by_index))}:
        raise InputError(f"{where}: expected indices 0 to {len(by_index) - 1}, got {shown(list(by_index))}.")
    return tuple(by_index[str(index)] for index in range(len(by_index)))


def _name(value: object, where: str) -> str:
    """A name as a text; YAML takes 7 for a number and no for false."""
    if not is_plain(value):
        raise InputError(f"{where}: expected texts, got {type(value).__name__}. Put the names in quotes.")
    return str(value)


def is_plain(value: object) -> bool:
    """Whether a value can be written as a text; Python itself refuses very long numbers."""
    if isinstance(value, int):
        return abs(value) <= LARGEST_ID
    return isinstance(value, (str, float, date, type(None)))


def _unique(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    broken = next((name for name in names if not is_utf8(name)), None)
    if broken is not None:
        raise InputError(f"{where}: expected class names in UTF-8, got {shown(broken)}. Rename it.")
    double = first_double(names)
    if double is not None:
        raise InputError(f"{where}: expected different class names, got {shown(double)} twice. Rename one.")
    return names
