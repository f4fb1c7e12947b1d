"""What a CSV table of boxes holds, by its values: columns without a header, and four numbers that may be two things.

Layouts known: keras-retinanet (path, x1, y1, x2, y2, class), SKU-110K (the same, and the image's size), makesense.ai
(label, x, y, width, height, image, its width and height), Google AutoML (set, path, label, corners as shares),
TensorFlow's order without its header.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.data.formats.csv_columns import Columns
from pipeline.data.parsing.box_builder import finite_numbers
from pipeline.data.parsing.split_names import split_of_word
from yolox_core.data.image_kinds import IMAGE_SUFFIXES

_MOST = 0.9  # of a column's values say of what kind it is
_ALL_BUT_FEW, _TOO_FEW = 0.95, 0.9  # of the boxes that fit one reading, and not the other
_SLACK = 1.01  # of the image's size, and some pixels: labels are rounded


@dataclass(frozen=True)
class _Layout:
    """Where the columns of a layout lie, and which of them are what: a pattern of their kinds' signs."""

    kinds: str  # s: a split, i: an image, n: numbers, t: texts, e: nothing; as _kind says
    columns: Columns


def _layout(
    kinds: str, image: int, label: int, box: int, size: tuple[int, int] | None = None, usual: bool | None = None
) -> _Layout:
    """A layout whose box is four columns from `box` on; `usual` says whether these usually are corners."""
    place = (box, box + 1, box + 2, box + 3)
    return _Layout(kinds, Columns(image, label, place, None, size, has_header=False, usually_corners=usual))


_LAYOUTS = (
    _layout("inn(nn[tn]|nnt)", image=0, label=5, box=1, usual=True),
    _layout("innnntnn", image=0, label=5, box=1, size=(7, 6), usual=True),
    _layout("[tn]nnnninn", image=5, label=0, box=1, size=(7, 6), usual=False),
    _layout("inntnnnn", image=0, label=3, box=4, size=(2, 1), usual=True),
    _layout("itnnnn", image=0, label=1, box=2),
    _layout("tinnnn", image=1, label=0, box=2),
    _layout("[tn]nnnni", image=5, label=0, box=1),
    _Layout("itnneennee", Columns(0, 1, (2, 3, 6, 7), is_corners=True, has_header=False)),  # AutoML: two corners,
    _Layout("itn{8}", Columns(0, 1, tuple(range(2, 10)), is_corners=True, has_header=False)),  # or all four
    _Layout("si[tn]nneennee", Columns(1, 2, (3, 4, 7, 8), is_corners=True, split=0, has_header=False)),
    _Layout("si[tn]n{8}", Columns(1, 2, tuple(range(3, 11)), is_corners=True, split=0, has_header=False)),
)


def columns_by_values(rows: Sequence[Sequence[str]]) -> Columns | None:
    """What the columns of a table without a header hold, by its first rows; None where that is not clear."""
    if not rows:
        return None
    alike = [row for row in rows if len(row) == len(rows[0])]
    kinds = "".join(_kind([value.strip() for value in column]) for column in zip(*alike, strict=True))
    return next((one.columns for one in _LAYOUTS if re.fullmatch(one.kinds, kinds)), None)


def _kind(values: Iterable[str]) -> str:
    """The sign of what most values of a column are."""
    said = [value for value in values if value]
    tests = {
        "e": lambda value: False,
        "i": lambda value: PurePosixPath(value).suffix.lower() in IMAGE_SUFFIXES,
        "n": lambda value: finite_numbers([value.replace(",", ".")]) is not None,  # a spreadsheet's decimal comma
        "s": lambda value: split_of_word(value) is not None or value == "UNASSIGNED",
    }
    return next((sign for sign, fits in tests.items() if sum(map(fits, said)) >= _MOST * len(said)), "t")


def are_corners(
    boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]], usual: bool | None, slack_px: float = 1
) -> bool | None:
    """Whether four numbers are x1, y1, x2, y2, and not x, y, width, height; `usual`, where they may be both.

    `sizes` are those of the images (height, width) px, 0 where not known.
    """
    corners = sized = 0
    for (a, b, c, d), (height, width) in zip(boxes, sizes, strict=True):
        right, bottom = _SLACK * width or float("inf"), _SLACK * height or float("inf")
        corners += a < c <= right + slack_px and b < d <= bottom + slack_px
        sized += c > 0 and d > 0 and a + c <= right + slack_px and b + d <= bottom + slack_px
    fit, too_few = _ALL_BUT_FEW * len(boxes), _TOO_FEW * len(boxes)
    if usual is not False and corners < too_few and sized >= fit:
        return False
    if usual is not True and sized < too_few and corners >= fit:
        return True
    return usual


def numbers_of(text: str) -> list[str]:
    """What stands in a column for a whole box: `[5.0, 6.0, 20.0, 24.0]`, with brackets or without."""
    return [part for part in re.split(r"[,;\s]+", text.strip("[](){} \t")) if part]
