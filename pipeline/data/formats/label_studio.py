"""Label Studio: a JSON list of tasks (exports JSON and JSON_MIN), with regions in percent of the image.

Rectangles, polygons and ellipses count as the upright box around them. Percent are of the image's own size, which may
differ from `original_width` where the folder holds smaller copies.
Format: labelstud.io/guide/export, "Label Studio JSON format of annotated tasks".
"""

import re
from typing import Any

from pipeline.data.formats.label_studio_tasks import (
    NO_BOXES,
    Region,
    chosen_annotation,
    image_candidates,
    is_task,
    regions,
)
from pipeline.data.parsing.box_builder import (
    Point,
    around_ellipse,
    enclosing,
    finite_numbers,
    points_of,
    size_of,
    turned,
)
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder, class_name, whole_id
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.split_names import split_of_folders, splits_of_files
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import files_with, read_json
from yolox_core.data.records import DatasetRecords

# not `annotations` alone, which CreateML's lists have, too
_KEYS = re.compile(
    rb'"(?:completions|annotation_id|annotator|original_width|was_cancelled|file_upload|result)"\s*:|"data"\s*:\s*\{'
)


def annotation_files(listing: Listing) -> list[str]:
    """The folder's Label Studio files: *.json that begin a list of tasks."""
    return files_with(listing, ".json", _KEYS, begin=b"[")


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All images that a person annotated, be it with nothing; others are left out, and counted."""
    found = DatasetBuilder(listing)
    split_of = splits_of_files(files)
    for name, document in read_json(listing, files, found.findings, "a list of tasks", _is_list):
        for number, task in enumerate(document, 1):
            if is_task(task):
                _add_task(found, name, number, task, split_of[name])
            else:
                what = f"expected a task with data, got {shown(task)}"
                found.findings.append(Finding("unreadable-annotation", f"{name}: task {number}", what, "left out"))
    return found.records(), found.findings


def _is_list(document: object) -> bool:
    return isinstance(document, list)


def _add_task(found: DatasetBuilder, file: str, number: int, task: dict[str, Any], split_of_file: str | None) -> None:
    where = f"{file}: task {number}"
    results, count = chosen_annotation(task)
    if results is None:
        return  # not annotated, or cancelled: its image is counted as such
    names = image_candidates(task)
    tried = [found.listing.locate(file, name) for name in names]
    image = next((one for one in tried if one.image), next((one for one in tried if one.got != "none"), Match()))
    words = split_of_file or split_of_folders(image.image or "")
    annotated = Annotated(where, words=words, image_id=whole_id(task.get("id")))
    if not found.claim(image, names[0] if names else "nothing", annotated) or image.image is None:
        return
    if count > 1:
        what = f"expected one annotation, got {count} that are not cancelled"
        found.findings.append(Finding("several-annotations", where, what, "the ground truth kept, else the first"))
    regions_found = list(regions(results))
    said = (size_of(*region.size) for region in regions_found)
    annotated.size = found.own_size(image.image) or next(filter(any, said), (0, 0))
    for region in regions_found:
        _add_region(found, annotated, region, f"{where}: region {region.number}")


def _add_region(found: DatasetBuilder, annotated: Annotated, region: Region, where: str) -> None:
    label = class_name(region.labels[0]) if region.labels else None
    if region.kind in NO_BOXES:
        found.drop("shape-without-box", where, f"expected a rectangle, polygon or ellipse, got {region.kind}")
        return
    if label is None:
        found.drop("unknown-class", where, "expected a label, got none")
        return
    points = _points(region, annotated.size)
    turn = finite_numbers([region.value.get("rotation") or 0])
    if points is None or turn is None:
        found.drop("box-not-numbers", where, f"expected its place in percent, got {shown(region.value)}")
        return
    if len(region.labels) > 1:
        what = f"expected one label, got {shown(list(region.labels))}"
        found.findings.append(Finding("several-labels", where, what, "the first kept"))
    box = enclosing(points)
    if turn[0] % 360 and "points" not in region.value:
        is_ellipse = "radiusX" in region.value
        box = around_ellipse(box, turn[0]) if is_ellipse else enclosing(turned(points, points[0], turn[0]))
        found.note_turned(where, turn[0])
    found.note_confidence(where, {"score": region.score})
    annotated.add(label, box)


def _points(region: Region, size: tuple[int, int]) -> list[Point] | None:
    """The corners in px, a rectangle's clockwise from that about which it is turned; None where they are not said."""
    value, (height, width) = region.value, size
    if "points" in value:
        percent = points_of(value["points"]) or []
        if len(percent) < 3:
            return None
    else:
        radii = "radiusX" in value
        keys = ("x", "y", "radiusX", "radiusY") if radii else ("x", "y", "width", "height")
        numbers = finite_numbers(value.get(key) for key in keys)
        if numbers is None:
            return None
        x, y, w, h = numbers
        x1, y1 = (x - w, y - h) if radii else (x, y)
        percent = [(x1, y1), (x + w, y1), (x + w, y + h), (x1, y + h)]
    return [(x * width / 100, y * height / 100) for x, y in percent]
