"""What the numbers of a YOLO label line are: a box, a polygon, a box with key points, an oriented box, a detection.

A line does not say; data.yaml does for key points (`kpt_shape`), else the whole set does: where all its lines have one
length that is too long for a box, that length and where the numbers lie tell.
Formats: docs.ultralytics.com/datasets (detect, segment, pose, obb); a detection is what `save_conf` writes.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.data.parsing.findings import Finding

Row = tuple[tuple[float, float, float, float], int, bool]  # of Objects.of, boxes as shares of width and height
Numbered = tuple[int, list[float]]  # a line's number, counted from 1, and what stands in it: class, then shares
BOX = 5  # numbers: class cx cy width height
_DETECTION = 6  # and a confidence
_CORNERS = 9  # class and four corners of an oriented box
_MOST = 2000  # lines that are examined for what they are
_FITTING = 0.95  # of them whose further points lie in the box of their first four numbers
_MARGIN = 0.02  # of the image, by which a key point or a box may reach out
_UPRIGHT = 1e-4  # of the image, by which the corners of an upright box may be rounded


@dataclass(frozen=True)
class Reading:
    """How the lines of a data set are read."""

    box_lengths: frozenset[int] = frozenset({BOX})  # whose first four numbers are the box; longer ones are polygons
    kpt_shape: tuple[int, int] | None = None  # as data.yaml says; then no line is a polygon

    def problem(self, count: int) -> str | None:
        """What is wrong with a line of `count` numbers."""
        if count in self.box_lengths:
            return None
        if self.kpt_shape:
            *_, longest = sorted(self.box_lengths)
            return f"expected {BOX} or {longest} numbers (kpt_shape {list(self.kpt_shape)}), got {count}"
        if count == _DETECTION:
            return f"expected class cx cy width height, got {count} numbers: a detection's, with its confidence?"
        if count < 7 or count % 2 == 0:
            return f"expected class cx cy width height or a polygon, got {count} numbers"
        return None

    def row(self, numbers: list[float]) -> Row:
        """The box of a line without a problem."""
        if len(numbers) in self.box_lengths:
            return _box(numbers), int(numbers[0]), False
        xs, ys = numbers[1::2], numbers[2::2]
        return (min(xs), min(ys), max(xs), max(ys)), int(numbers[0]), False


def key_points(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """(points, numbers a point) of a data.yaml's `kpt_shape`; None where it has none that can be."""
    shape = document.get("kpt_shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(value) is int for value in shape):
        return None
    return (shape[0], shape[1]) if 0 < shape[0] < 1000 and shape[1] in (2, 3) else None


def reading_of(
    lines: Mapping[str, Collection[Numbered]], kpt_shape: tuple[int, int] | None, described: bool
) -> tuple[Reading, list[Finding]]:
    """How the lines of these files are to be read, and what is to be known of it.

    `described`: a data.yaml says of what the set is, and does not speak of key points.
    """
    if kpt_shape:
        return Reading(frozenset({BOX, BOX + kpt_shape[0] * kpt_shape[1]}), kpt_shape), []
    lengths = Counter(len(numbers) for numbered in lines.values() for _, numbers in numbered)
    if len(lengths) != 1 or min(lengths) <= BOX:
        return Reading(), []
    ((length, count),) = lengths.items()
    file, (number, _) = next((name, line) for name, numbered in lines.items() for line in numbered)
    sample = [numbers for _, numbers in islice((line for lines_of in lines.values() for line in lines_of), _MOST)]
    where = f"{file}: line {number}"
    if length == _DETECTION:
        return _of_detections(sample, count, where)
    return _of_long_lines(sample, length, count, where, described)


def _of_detections(sample: list[list[float]], count: int, where: str) -> tuple[Reading, list[Finding]]:
    if not all(0 <= numbers[5] <= 1 and _within(_box(numbers), (0, 0, 1, 1)) for numbers in sample):
        return Reading(), []
    what = f"expected 5 numbers, got 6 in all {count} lines: detections of a model, with a confidence behind the box?"
    return Reading(frozenset({BOX, _DETECTION})), [Finding("boxes-with-confidence", where, what, "boxes kept")]


def _of_long_lines(
    sample: list[list[float]], length: int, count: int, where: str, described: bool
) -> tuple[Reading, list[Finding]]:
    are_corners = length == _CORNERS and all(map(_is_convex, sample))
    shape = None if are_corners else next((shape for shape in _shapes(length) if _fit(sample, shape)), None)
    polygon = f"polygons of {(length - 1) // 2} points" if length % 2 else ""
    what = f"expected 5 numbers, got {length} in all {count} lines"
    if shape:
        what += f": boxes with key points (kpt_shape {list(shape)})"
        action = "first four numbers taken as the box: the points lie in it"
        return Reading(frozenset({BOX, length})), [Finding("label-lines-unclear", where, what, action)]
    if length == _CORNERS:
        if all(map(_is_upright, sample)):
            return Reading(), []
        what += ": corners of oriented boxes"
        return Reading(), [Finding("box-turned", where, what, "the upright box around each kept")]
    if described or not polygon or count == 1:  # of one length are several
        return Reading(), []
    also = [f"boxes with key points (kpt_shape {list(shape)})" for shape in _shapes(length)]
    what += f": {' or '.join([polygon, *also])}"
    return Reading(), [Finding("label-lines-unclear", where, what, "taken as polygons")]


def _shapes(length: int) -> Iterator[tuple[int, int]]:
    """What `kpt_shape` may be for lines of this length."""
    for numbers in (2, 3):
        if length > BOX and (length - BOX) % numbers == 0:
            yield (length - BOX) // numbers, numbers


def _fit(sample: list[list[float]], shape: tuple[int, int]) -> bool:
    """Whether nearly all lines are a box and points in it; points at 0, 0 are not there."""
    return sum(_are_key_points(numbers, shape[1]) for numbers in sample) >= _FITTING * len(sample)


def _are_key_points(numbers: list[float], step: int) -> bool:
    box, points = _box(numbers), numbers[BOX:]
    if step == 3 and not {*points[2::3]} <= {0, 1, 2}:  # how visible a point is
        return False
    there = [(x, y) for x, y in zip(points[0::step], points[1::step], strict=True) if (x, y) != (0, 0)]
    return _within(box, (0, 0, 1, 1)) and all(_within((x, y, x, y), box) for x, y in there)


def _within(inner: tuple[float, ...], outer: tuple[float, ...]) -> bool:
    x1, y1, x2, y2 = inner
    return outer[0] - _MARGIN <= x1 <= x2 <= outer[2] + _MARGIN and outer[1] - _MARGIN <= y1 <= y2 <= outer[3] + _MARGIN


def _is_upright(numbers: list[float]) -> bool:
    """Whether four corners are those of an upright box: each side goes along one axis."""
    points = list(zip(numbers[1::2], numbers[2::2], strict=True))
    sides = zip(points, points[1:] + points[:1], strict=True)
    return all(min(abs(x1 - x2), abs(y1 - y2)) <= _UPRIGHT for (x1, y1), (x2, y2) in sides)


def _is_convex(numbers: list[float]) -> bool:
    """Whether four points go around an area, which a centre, two sides and two key points hardly do in every line."""
    points = list(zip(numbers[1::2], numbers[2::2], strict=True))
    corners = (points[at:] + points[:at] for at in range(len(points)))
    turns = [(bx - ax) * (cy - by) - (by - ay) * (cx - bx) for (ax, ay), (bx, by), (cx, cy), _ in corners]
    return all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)


def _box(numbers: list[float]) -> tuple[float, float, float, float]:
    _, cx, cy, width, height, *_ = numbers
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
