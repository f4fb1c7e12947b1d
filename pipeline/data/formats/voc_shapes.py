"""Shapes in files like Pascal VOC's that are no upright boxes, as the points that an upright box goes around.

`robndbox` is roLabelImg's (centre, sides and an angle in radians); a `polygon` of `pt` is that of LabelMe's web tool,
which CVAT and datumaro write too, with a mask as `segm`; one of `x1`, `y1`, `x2` ... is Roboflow's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from pipeline.data.parsing.box_builder import Point, finite_numbers, turned

_ROBNDBOX = ("cx", "cy", "w", "h", "angle")
_MASK_BOX = ("xmin", "ymin", "xmax", "ymax")
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class Outline:
    """Points in px, and how far a box is turned; None where it is no box."""

    points: Sequence[Point]
    degrees: float | None = None


def outline(entry: ElementTree.Element) -> Outline | None:
    """The shape of an <object>; None where it has none that can be read."""
    numbers = _numbers(entry.find("robndbox"), _ROBNDBOX)
    if numbers:
        cx, cy, width, height, angle = numbers
        corners = [(cx + sx * width / 2, cy + sy * height / 2) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        return Outline(turned(corners, (cx, cy), math.degrees(angle)), round(math.degrees(angle), 2))
    points = _polygon(entry.find("polygon"))
    if points:
        return Outline(points)
    box = _numbers(entry.find("segm/box"), _MASK_BOX)
    return Outline([(box[0], box[1]), (box[2], box[3])]) if box else None


def _polygon(polygon: ElementTree.Element | None) -> list[Point] | None:
    """At least three points; None where there are fewer, or one is not two numbers."""
    if polygon is None:
        return None
    pairs: list[list[float] | None]
    if polygon.find("pt") is not None:
        pairs = [_numbers(point, ("x", "y")) for point in polygon.iter("pt")]
    else:
        texts = {child.tag: child.text for child in polygon}
        known = [number for number in range(1, min(len(texts), _MOST_POINTS) + 1) if f"x{number}" in texts]
        pairs = [finite_numbers((texts[f"x{number}"], texts.get(f"y{number}"))) for number in known]
    points = [(pair[0], pair[1]) for pair in pairs if pair]
    return points if len(points) == len(pairs) >= 3 else None


def _numbers(parent: ElementTree.Element | None, names: Sequence[str]) -> list[float] | None:
    return None if parent is None else finite_numbers((parent.findtext(name) or "").strip() for name in names)
