"""Which column of a CSV table holds what, by the names that people give them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.data.parsing.box_builder import finite_numbers
from pipeline.data.parsing.encodings import as_utf8, with_foreign_bytes
from pipeline.data.parsing.folder_listing import Listing
from yolox_core.data.image_io import IMAGE_SUFFIXES

# names without signs between their words, in lower case; the first that occurs counts
_IMAGE = ("filename", "imagepath", "filepath", "imagename", "imagefile", "path", "image", "img", "file", "imageid")
_CLASS = ("class", "label", "category", "classname", "labelname", "categoryname", "name")
_SPLIT = ("split", "set", "subset")
_GROUP = ("isgroupof", "iscrowd")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIZED = tuple(
    (*corner, *size)
    for corner in (("x", "y"), ("xmin", "ymin"), ("x1", "y1"), ("left", "top"), ("bboxx", "bboxy"))
    for size in (("width", "height"), ("w", "h"), ("bboxwidth", "bboxheight"))
)
_IMAGE_SIZE = (("imageheight", "imagewidth"), ("imgheight", "imgwidth"), ("height", "width"))
_HEAD = 16 * 1024  # bytes that are looked at to tell a table of boxes from any other
_DELIMITERS = ",;\t"
_RETINANET = 6  # path, x1, y1, x2, y2, class


@dataclass(frozen=True)
class Columns:
    """The positions of a table's columns."""

    image: int
    label: int
    box: tuple[int, int, int, int]
    is_corners: bool  # x1, y1, x2, y2; else x, y, width, height
    size: tuple[int, int] | None = None  # of the image: height, width
    split: int | None = None
    group: int | None = None  # says 1 of a box around many objects
    has_header: bool = True


def first_row(listing: Listing, name: str) -> list[str]:
    """The first row of a table; OSError or csv.Error where it cannot be read."""
    with (listing.root / name).open("rb") as file:
        head = with_foreign_bytes(as_utf8(file.read(_HEAD)), listing.encoding)
    return fields_of(next((line for line in head.splitlines() if line.strip()), ""))


def fields_of(line: str) -> list[str]:
    """The fields of one line."""
    return next(csv.reader([line], delimiter=delimiter_of(line)), [])


def delimiter_of(line: str) -> str:
    """The sign between the columns of a table with this first line."""
    return max(_DELIMITERS, key=line.count)


def columns_of(row: Sequence[str]) -> Columns | None:
    """What the columns of a table with this first row hold; None where it is no table of boxes."""
    if _is_retinanet(row):
        return Columns(0, 5, (1, 2, 3, 4), is_corners=True, has_header=False)
    place = _places(row)
    image, label = _first(place, _IMAGE), _first(place, _CLASS)
    corners, sized = _all(place, _CORNERS), _all(place, _SIZED)
    box = corners or sized
    if image is None or label is None or box is None:
        return None
    sizes = [pair for pair in _IMAGE_SIZE if corners or pair != ("height", "width")]
    size = _all(place, tuple(sizes))
    return Columns(
        image=image,
        label=label,
        box=(box[0], box[1], box[2], box[3]),
        is_corners=corners is not None,
        size=(size[0], size[1]) if size else None,
        split=_first(place, _SPLIT),
        group=_first(place, _GROUP),
    )


def lacking(row: Sequence[str]) -> list[str]:
    """What no column of this first row holds, for a message; nothing where it is one of a table of boxes."""
    if _is_retinanet(row):
        return []
    place = _places(row)
    absent = {
        "the image": _first(place, _IMAGE) is None,
        "the class": _first(place, _CLASS) is None,
        "the box": _all(place, _CORNERS) is None and _all(place, _SIZED) is None,
    }
    return [what for what, is_absent in absent.items() if is_absent]


def _places(row: Sequence[str]) -> dict[str, int]:
    """The position of each column, by its name in small letters without signs between its words."""
    place: dict[str, int] = {}
    for position, name in enumerate(row):
        place.setdefault(re.sub(r"[\W_]", "", name.lower()), position)
    return place


def _is_retinanet(row: Sequence[str]) -> bool:
    if len(row) != _RETINANET or PurePosixPath(row[0].strip()).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    return finite_numbers(row[1:5]) is not None or not any(value.strip() for value in row[1:])


def _first(place: dict[str, int], names: Sequence[str]) -> int | None:
    return next((place[name] for name in names if name in place), None)


def _all(place: dict[str, int], groups: Sequence[Sequence[str]]) -> list[int] | None:
    """The positions of the first group whose names all occur."""
    return next(([place[name] for name in group] for group in groups if set(group) <= set(place)), None)
