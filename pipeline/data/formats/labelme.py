"""LabelMe: one JSON file an image, with `shapes` of points in pixels.

A rectangle, polygon, circle or mask counts as the upright box around it. Polygons of one label and `group_id` are
parts of one object, as labelme's own examples/instance_segmentation/labelme2coco.py takes them.
"""

import math
import re
from pathlib import PurePosixPath
from typing import Any

from pipeline.data.parsing.box_builder import Point, degrees_of, enclosing, points_of, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder, class_name
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.image_match import match_files
from pipeline.data.parsing.split_names import split_of_folders
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import files_with, read_json
from yolox_core.data.records import DatasetRecords

_USED = ("shapes", "imagePath", "imageHeight", "imageWidth")  # not imageData, which holds the image
_KEYS = re.compile(rb'"(shapes|imagePath)"\s*:')
# the fewest points of each kind that has an area; masks give two corners, rotation is X-AnyLabeling's turned rectangle
_FEWEST = {"rectangle": 2, "polygon": 3, "circle": 2, "mask": 2, "oriented_rectangle": 4, "rotation": 4}
_TURNED = ("oriented_rectangle", "rotation")


def annotation_files(listing: Listing) -> list[str]:
    """The folder's LabelMe files: *.json with `shapes` or `imagePath` near their beginning or end."""
    return files_with(listing, ".json", _KEYS, begin=b"{")


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All annotated images. An image without JSON is not annotated: it is left out, and counted."""
    found = DatasetBuilder(listing)
    shape = "an object with a list `shapes`"
    whole = read_json(listing, files, found.findings, shape, _has_shapes)
    documents = {name: {key: document.get(key) for key in _USED} for name, document in whole}
    images = match_files(listing, {name: _written(document) for name, document in documents.items()})
    for name, document in documents.items():
        size = size_of(document.get("imageHeight"), document.get("imageWidth"))
        image, called = images[name], _written(document) or f"{PurePosixPath(name).stem}.*"
        annotated = Annotated(name, size, words=split_of_folders(name) or split_of_folders(image.image or ""))
        if found.claim(image, called, annotated):
            _add_shapes(found, annotated, document["shapes"])
    return found.records(), found.findings


def _has_shapes(document: object) -> bool:
    return isinstance(document, dict) and isinstance(document.get("shapes"), list)


def _written(document: dict[str, Any]) -> str:
    """The image's name as the JSON has it."""
    written = document.get("imagePath")
    return written if isinstance(written, str) else ""


def _add_shapes(found: DatasetBuilder, annotated: Annotated, shapes: list[Any]) -> None:
    outlines: dict[tuple[str, object], list[Point]] = {}  # by label, and group or own number
    for number, shape in enumerate(shapes, 1):
        where = f"{annotated.annotation}: shape {number}"
        label = class_name(shape.get("label")) if isinstance(shape, dict) else None
        if label is None:
            found.drop("unknown-class", where, f"expected a shape with a label, got {shown(shape)}")
            continue
        kind = shape.get("shape_type") or "polygon"  # the first versions knew nothing else
        if not isinstance(kind, str) or kind not in _FEWEST:
            found.drop("shape-without-box", where, f"expected {', '.join(_FEWEST)}, got {shown(kind)}")
            continue
        points = points_of(shape.get("points"))
        if points is None or len(points) < _FEWEST[kind]:
            what = f"expected {_FEWEST[kind]} or more points in finite numbers, got {shown(shape.get('points'))}"
            found.drop("box-not-numbers", where, what)
            continue
        group = shape.get("group_id")
        is_part = kind == "polygon" and isinstance(group, (int, str))
        if kind in _TURNED and (degrees := degrees_of(points)):
            found.note_turned(where, degrees)
        found.note_confidence(where, shape)
        outlines.setdefault((label, str(group) if is_part else number), []).extend(_outline(kind, points))
    for (label, _), points in outlines.items():
        annotated.add(label, enclosing(points))


def _outline(kind: str, points: list[Point]) -> list[Point]:
    """Points with the same upright box: of a circle, given by its centre and a point on it, two corners."""
    if kind != "circle":
        return points
    (x, y), edge = points[0], points[1]
    radius = math.dist((x, y), edge)
    return [(x - radius, y - radius), (x + radius, y + radius)]
