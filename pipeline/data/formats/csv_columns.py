"""Which column of a CSV table holds what, by the names that people give them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.data.parsing.box_builder import CONFIDENCES, finite_numbers
from pipeline.data.parsing.encodings import as_utf8, with_foreign_bytes
from pipeline.data.parsing.folder_listing import Listing
from yolox_core.data.image_kinds import IMAGE_SUFFIXES

# names without signs between their words, in lower case; the first that occurs counts
_IMAGE = ("filename", "imagepath", "filepath", "imagename", "imagefile", "path", "image", "img", "file", "imageid")
_CLASS = ("class", "label", "category", "classname", "labelname", "categoryname", "name", "classid")
_SPLIT = ("split", "set", "subset")
_GROUP = ("isgroupof", "iscrowd")
_VERTICES = tuple(
    tuple(f"{axis}{number}" for number in range(first, first + 4) for axis in "xy") for first in (1, 0)
)  # of an oriented box
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("roix1", "roiy1", "roix2", "roiy2"),  # German traffic signs
)
_SIZED = tuple(
    (*corner, *size)
    for corner in (("x", "y"), ("xmin", "ymin"), ("x1", "y1"), ("left", "top"), ("bboxx", "bboxy"))
    for size in (("width", "height"), ("w", "h"), ("bboxwidth", "bboxheight"))
)
_IMAGE_SIZE = (("imageheight", "imagewidth"), ("imgheight", "imgwidth"), ("height", "width"))
_ANGLE = ("angle", "rotation", "theta")
_IN_ONE = ("bbox", "box", "boundingbox", "xywh", "bboxxywh", "xyxy", "bboxxyxy")  # a column that holds a whole box
_HEAD = 16 * 1024  # bytes read to tell a table of boxes from any other
_ROWS = 64  # of these that are split into fields
_DELIMITERS = ",;\t"
_RETINANET = 6  # path, x1, y1, x2, y2, class


@dataclass(frozen=True)
class Columns:
    """The positions of a table's columns."""

    image: int
    label: int
    box: tuple[int, ...]  # four, eight of an oriented box's corners, or one that holds all numbers
    is_corners: bool | None  # x1, y1, x2, y2; else x, y, width, height; None: the values say
    size: tuple[int, int] | None = None  # of the image: height, width
    split: int | None = None
    group: int | None = None  # says 1 of a box around many objects
    angle: int | None = None  # by which a box is turned, in nobody knows which unit about nobody knows which point
    confidence: int | None = None
    has_header: bool = True
    usually_corners: bool | None = None  # where the values may be both; None: neither is usual


def first_row(listing: Listing, name: str) -> list[str]:
    """The first row of a table; OSError or csv.Error where it cannot be read."""
    return next(iter(first_rows(listing, name)), [])


def first_rows(listing: Listing, name: str) -> list[list[str]]:
    """The first rows of a table, but for one that is cut; OSError or csv.Error where it cannot be read."""
    with (listing.root / name).open("rb") as file:
        data = file.read(_HEAD)
    head = with_foreign_bytes(as_utf8(data), listing.encoding)
    lines = [line for line in head.split("\n") if line.strip()]
    return rows_of(lines[:-1] if len(data) == _HEAD and len(lines) > 1 else lines)


def rows_of(lines: Sequence[str]) -> list[list[str]]:
    """The fields of a table's first lines."""
    return list(csv.reader(lines[:_ROWS], delimiter=delimiter_of(lines[0]))) if lines else []


def delimiter_of(line: str) -> str:
    """The sign between the columns of a table with this first line."""
    return max(_DELIMITERS, key=line.count)


def columns_of(row: Sequence[str]) -> Columns | None:
    """What the columns of a table with this first row hold; None where it is no table of boxes."""
    if _is_retinanet(row):
        return Columns(0, 5, (1, 2, 3, 4), is_corners=None, has_header=False, usually_corners=True)
    place = _places(row)
    image, label = _first(place, _IMAGE), _first(place, _CLASS)
    corners, sized = _all(place, _VERTICES) or _all(place, _CORNERS), _all(place, _SIZED)
    in_one = None if corners or sized else _first(place, _IN_ONE)
    box = corners or sized or ([in_one] if in_one is not None else None)
    if image is None or label is None or box is None:
        return None
    sizes = [pair for pair in _IMAGE_SIZE if not sized or corners or pair != ("height", "width")]
    size = _all(place, tuple(sizes))
    return Columns(
        image=image,
        label=label,
        box=tuple(box),
        is_corners=corners is not None if in_one is None else None,
        size=(size[0], size[1]) if size else None,
        split=_first(place, _SPLIT),
        group=_first(place, _GROUP),
        angle=_first(place, _ANGLE),
        confidence=_first(place, CONFIDENCES),
        usually_corners=in_one is not None and _is_named_corners(row[in_one]),
    )


def lacking(row: Sequence[str]) -> list[str]:
    """What no column of this first row holds, for a message; nothing where it is one of a table of boxes."""
    if _is_retinanet(row):
        return []
    place = _places(row)
    absent = {
        "the image": _first(place, _IMAGE) is None,
        "the class": _first(place, _CLASS) is None,
        "the box": _all(place, _CORNERS) is None and _all(place, _SIZED) is None and _first(place, _IN_ONE) is None,
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


def _is_named_corners(name: str) -> bool:
    """Whether a column that holds a whole box is called by its corners; a `bbox` usually is x, y, width, height."""
    return name.strip().lower().endswith("xyxy")


def _first(place: dict[str, int], names: Sequence[str]) -> int | None:
    return next((place[name] for name in names if name in place), None)


def _all(place: dict[str, int], groups: Sequence[Sequence[str]]) -> list[int] | None:
    """The positions of the first group whose names all occur."""
    return next(([place[name] for name in group] for group in groups if set(group) <= set(place)), None)
