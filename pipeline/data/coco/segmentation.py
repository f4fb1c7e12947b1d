"""The box around a COCO segmentation, for annotations that have no box of their own.

Polygons are lists of x, y in turn; run-length codes are counted column by column, plain or in COCO's own letters.
Format: cocodataset.org/#format-data; the letters are read by pycocotools.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.data.parsing.box_builder import finite_numbers

LARGEST_SIDE = 1 << 20  # px: a mask that says more is damaged, not large


def box_of_segmentation(entry: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """(x, y, width, height) in px around the annotation's segmentation; None where there is none that can be read."""
    outline = entry.get("segmentation")
    if isinstance(outline, list):
        return _box_of_polygons(outline)
    if isinstance(outline, dict):
        return _box_of_runs(outline)
    return None


def _box_of_polygons(polygons: list[Any]) -> tuple[float, float, float, float] | None:
    xs: list[float] = []
    ys: list[float] = []
    for polygon in polygons:
        numbers = finite_numbers(polygon) if isinstance(polygon, list) else None
        if numbers is None or len(numbers) < 6 or len(numbers) % 2:
            return None
        xs += numbers[0::2]
        ys += numbers[1::2]
    return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)) if xs else None


def _box_of_runs(runs: dict[str, Any]) -> tuple[float, float, float, float] | None:
    from pycocotools import mask

    size, counts = runs.get("size"), runs.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(_is_side(side) for side in size)):
        return None
    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts) or sum(counts) != size[0] * size[1]:
            return None
        encoded = mask.frPyObjects({"size": size, "counts": counts}, size[0], size[1])
    elif isinstance(counts, str) and counts.isascii():
        encoded = {"size": size, "counts": counts.encode("ascii")}
    else:
        return None
    x, y, width, height = (float(value) for value in mask.toBbox(encoded))
    inside = 0 <= x <= size[1] and 0 <= y <= size[0] and width <= size[1] and height <= size[0]
    return (x, y, width, height) if inside else None


def _is_side(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and 0 < side <= LARGEST_SIDE
