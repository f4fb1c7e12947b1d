"""The directories of a TIFF: what its pages say of themselves. TIFF 6.0, and BigTIFF as libtiff documents it."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION = 254, 256, 257, 258, 262, 274
SAMPLES, EXTRA, FORMAT, LOWEST, HIGHEST = 277, 338, 339, 340, 341
_WANTED = frozenset({SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, EXTRA, FORMAT, LOWEST, HIGHEST})
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q", 17: "q"}
_MOST_PAGES = 100_000  # a file with more was made to keep a reader busy
_MOST_VALUES = 16  # of one tag
_COPIES = 0b101  # of NewSubfileType: a smaller copy of another page, a mask of its transparency


@dataclass(frozen=True)
class Directory:
    """Tags of one page with numbers for values."""

    values: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    places: Mapping[int, tuple[int, str]] = field(default_factory=dict)  # of the first value: offset, struct's format

    def first(self, tag: int, default: float) -> float:
        """The first value of a tag."""
        return self.values.get(tag, (default,))[0]

    @property
    def is_page(self) -> bool:
        """Whether it is a picture of its own."""
        return not int(self.first(SUBFILE, 0)) & _COPIES


@dataclass(frozen=True)
class _Layout:
    """Classic TIFF or BigTIFF, in one order of bytes."""

    order: str
    offset: str  # struct's format of an offset, and of how many values a tag has
    entries: str  # of how many tags a directory has

    @property
    def entry(self) -> int:
        """Bytes of one tag's entry."""
        return 4 + 2 * struct.calcsize(self.offset)


def tiff_directories(data: bytes) -> list[Directory]:
    """Those of a TIFF in their order, as far as they are whole; none for any other file."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = struct.unpack_from(f"{order}H", data, 2)[0] if order and len(data) >= 16 else 0
    if order is None or version not in (42, 43):
        return []
    layout = _Layout(order, *(("I", "H") if version == 42 else ("Q", "Q")))
    at = int(struct.unpack_from(f"{order}{layout.offset}", data, 4 if version == 42 else 8)[0])
    found: list[Directory] = []
    passed: set[int] = set()
    while at and at not in passed and len(found) < _MOST_PAGES:
        passed.add(at)
        try:
            directory, at = _directory(data, at, layout)
        except (struct.error, OverflowError):  # it lies beyond the file's end
            break
        found.append(directory)
    return found


def _directory(data: bytes, at: int, layout: _Layout) -> tuple[Directory, int]:
    """The directory at an offset, and where the next one is."""
    (count,) = struct.unpack_from(layout.order + layout.entries, data, at)
    start = at + struct.calcsize(layout.entries)
    values: dict[int, tuple[float, ...]] = {}
    places: dict[int, tuple[int, str]] = {}
    end = start + count * layout.entry
    (following,) = struct.unpack_from(layout.order + layout.offset, data, end)
    for place in range(start, end, layout.entry):
        tag, kind = struct.unpack_from(f"{layout.order}HH", data, place)
        if tag not in _WANTED or kind not in _TYPES:
            continue
        (many,) = struct.unpack_from(layout.order + layout.offset, data, place + 4)
        where = place + 4 + struct.calcsize(layout.offset)
        if many * struct.calcsize(_TYPES[kind]) > struct.calcsize(layout.offset):
            (where,) = struct.unpack_from(layout.order + layout.offset, data, where)
        form = layout.order + _TYPES[kind]
        some = min(many, _MOST_VALUES)
        if some and where + some * struct.calcsize(form) <= len(data):
            values[tag] = struct.unpack_from(f"{layout.order}{some}{_TYPES[kind]}", data, where)
            places[tag] = (where, form)
    return Directory(values, places), int(following)
