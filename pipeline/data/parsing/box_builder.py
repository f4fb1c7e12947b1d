"""Collecting the objects of one image while its annotation is read: numbers, boxes around shapes, and what is kept."""

import math
from collections.abc import Iterable, Mapping, Sequence

Point = tuple[float, float]
CONFIDENCES = ("score", "confidence", "conf")  # what a detection's confidence is called
_DIGITS = 20  # that a whole number of 64 bits, with its sign, has
_EXACT = 2.0**53  # floats up to here tell neighbouring whole numbers apart
LARGEST = 1e9  # no coordinate is larger; beyond float32's range sums would overflow


def finite_numbers(values: Iterable[object]) -> list[float] | None:
    """The values as floats; None where one of them is not a number, or none that a coordinate can be."""
    try:
        numbers = [float(value) for value in values]  # type: ignore[arg-type]  # whatever is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(abs(number) <= LARGEST for number in numbers) else None


def has_confidence(entry: Mapping[str, object]) -> bool:
    """Whether an object carries a number between 0 and 1, ends excluded, as a model's detections do."""
    numbers = finite_numbers(entry[key] for key in CONFIDENCES if entry.get(key) is not None)
    return numbers is not None and any(0 < number < 1 for number in numbers[:1])


def whole_number(value: object) -> int | None:
    """An id as a document gives it, which may be a text or a float (7, "7", 7.0, "7.0"); None where it is none."""
    if isinstance(value, str):
        text = value.strip().partition(".")
        is_whole = text[0].removeprefix("-").isdigit() and not text[2].strip("0") and len(text[0]) < _DIGITS
        return int(text[0]) if is_whole and text[0].isascii() else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _EXACT else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def size_of(height: object, width: object) -> tuple[int, int]:
    """(height, width) px as a document gives them; 0 where it does not say, or not in numbers."""
    numbers = finite_numbers((height, width))
    return (int(numbers[0]), int(numbers[1])) if numbers else (0, 0)


def points_of(value: object) -> list[Point] | None:
    """A document's list of points; None where it is none, or one of them is not two numbers."""
    if not isinstance(value, list):
        return None
    pairs = [finite_numbers(point) if isinstance(point, list) and len(point) == 2 else None for point in value]
    return None if None in pairs else [(pair[0], pair[1]) for pair in pairs if pair]


def enclosing(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """The upright box xyxy around at least one point."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def degrees_of(corners: Sequence[Point]) -> float:
    """How far a box of four corners is turned, from 0 below 90."""
    (x1, y1), (x2, y2) = corners[:2]
    return round(math.degrees(math.atan2(y2 - y1, x2 - x1)), 1) % 90


def around_turned(box: Sequence[float], degrees: float) -> tuple[float, float, float, float]:
    """The upright box xyxy around `box` after it is turned about its centre."""
    x1, y1, x2, y2 = box
    return enclosing(turned([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], ((x1 + x2) / 2, (y1 + y2) / 2), degrees))


def around_ellipse(box: Sequence[float], degrees: float) -> tuple[float, float, float, float]:
    """The upright box xyxy around the ellipse that fills `box` before it is turned about its centre."""
    x, y, rx, ry = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width, half_height = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return x - half_width, y - half_height, x + half_width, y + half_height


def turned(points: Iterable[Point], about: Point, degrees: float) -> list[Point]:
    """The points after a turn about one; clockwise as seen, for y points down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0 = about
    return [(x0 + (x - x0) * cos - (y - y0) * sin, y0 + (x - x0) * sin + (y - y0) * cos) for x, y in points]
