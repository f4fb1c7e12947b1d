"""What the files around YOLO labels say of the names of the classes. Splits: yolo_splits.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Names:
    """The names of the classes, in one order for the whole set."""

    all: tuple[str, ...]
    own: Mapping[str, tuple[str, ...]]  # folder -> the names in its own order; empty where one order counts for all

    def of(self, file: str) -> tuple[str, ...]:
        """The names by the class indices of a label file."""
        inner = (self.own[str(folder)] for folder in PurePosixPath(file).parents if str(folder) in self.own)
        return next(inner, self.all)


def class_names(
    listing: Listing, descriptions: Descriptions, darknets: str | None, findings: list[Finding]
) -> Names | None:
    """The names of the outermost data.yaml, else of `darknets` file, which obj.data names, else of the outermost other.

    None where no file holds them; InputError where one is double.

    Where folders beside each other have files that differ, each counts for its own, and they are joined by name.
    """
    files = [name for name, _ in descriptions] or ([darknets] if darknets else _names_files(listing))
    if not files:
        return None
    document_of = dict(descriptions)
    beside = [name for name in files if name.count("/") == files[0].count("/")]
    first_of = {str(PurePosixPath(name).parent): name for name in reversed(beside)}
    own = {folder: _names_in(listing, name, document_of.get(name)) for folder, name in first_of.items()}
    inner = [] if descriptions else [name for name in files if name not in beside]
    first = {name: own[folder] for folder, name in first_of.items()}
    also = {name: _names_in(listing, name, document_of.get(name)) for name in beside if name not in first}
    findings += _differing(listing, first, inner) or _beside_differing(first, also)
    names = own[str(PurePosixPath(files[0]).parent)]
    if len(set(own.values())) == 1:
        return Names(names, {})
    others = (name for folder in sorted(own) for name in own[folder])
    return Names(tuple(dict.fromkeys([*names, *others])), own)


def _names_in(listing: Listing, name: str, document: dict[str, Any] | None) -> tuple[str, ...]:
    if document is not None:
        return _unique(_from_yaml(document["names"], f"{listing.shown(name)}: names"), name)
    return _unique(_from_lines(listing, name), name)


def _differing(listing: Listing, beside: Mapping[str, tuple[str, ...]], inner: Sequence[str]) -> list[Finding]:
    """A finding where files of names differ: of two folders, or of two exports where one lies deeper."""
    first = nearest_first(list(beside))[0]
    what = f"expected the names of {first}, got others"
    other = next((name for name in sorted(beside) if beside[name] != beside[first]), None)
    if other is not None:
        return [Finding("class-names-differ", other, what, "each counts for its own folder, joined by name")]
    alike = (name for name in inner if PurePosixPath(name).name == PurePosixPath(first).name)
    other = next((name for name in alike if _from_lines(listing, name) != beside[first]), None)
    return [] if other is None else [Finding("class-names-differ", other, what, f"{first} counts")]


def _beside_differing(first: Mapping[str, tuple[str, ...]], also: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """A finding where a folder holds another file of names, and nothing says which counts."""
    home = {str(PurePosixPath(name).parent): name for name in first}
    for name, names in also.items():
        counts = home[str(PurePosixPath(name).parent)]
        if names != first[counts]:
            what = f"expected the names of {counts}, got others"
            return [Finding("class-names-differ", name, what, f"{counts} counts")]
    return []


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
