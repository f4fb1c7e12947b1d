"""One COCO JSON file: reading any, and writing the normalised form that the pipeline passes from stage to stage.

Category ids stay as the data set has them; a class index is a position in the order of ids. Beyond the standard,
an image of ours may carry `split` and `annotation` (where its objects were first read).
Format: cocodataset.org/#format-data.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from yolox_core.datasets.atomic import new_text
from yolox_core.datasets.coco_document import KEYS, Document, open_document
from yolox_core.datasets.objects import Objects, finite_numbers
from yolox_core.datasets.outline import box_of_outline
from yolox_core.datasets.records import LARGEST_ID, Category, DatasetRecords, Finding, ImageRecord
from yolox_core.datasets.split_names import split_of_word
from yolox_core.datasets.text import first_double, is_utf8, on_one_line, shown
from yolox_core.errors import InputError


def write_coco(records: DatasetRecords, path: Path) -> None:
    """Write `records` as COCO JSON in one step; equal records give equal bytes."""
    number = count(1)
    annotations = (
        {"id": next(number), **entry}
        for record in records.images
        for entry in _annotations(record, records.category_ids)
    )
    categories = [{"id": category.category_id, "name": category.name} for category in records.categories]
    with new_text(path) as file:  # one entry a line: readable, and a change of the data is a small diff
        file.write("{\n")
        _write_list(file, "images", map(_image, records.images), ",\n")
        _write_list(file, "annotations", annotations, ",\n")
        _write_list(file, "categories", categories, "\n}\n")


def _image(record: ImageRecord) -> dict[str, Any]:
    extra = {"split": record.split, "annotation": record.annotation}
    return {
        "id": record.image_id,
        "file_name": record.file_name,
        "height": record.height,
        "width": record.width,
        **{key: value for key, value in extra.items() if value},
    }


def _write_list(file: TextIO, key: str, entries: Iterable[dict[str, Any]], end: str) -> None:
    file.write(f'"{key}": [\n')
    for at, entry in enumerate(entries):
        file.write((",\n" if at else "") + json.dumps(entry, ensure_ascii=False, allow_nan=False))
    file.write(f"\n]{end}")


def read_coco(path: Path, image_root: Path) -> DatasetRecords:
    """A file that `write_coco` wrote; InputError where it is missing or was altered beyond reading."""
    categories, images, findings = parse(load(path), str(path), lambda name: name)
    if findings:
        raise InputError(f"{path}: expected a file written by this pipeline, got: {findings[0].line()}. Run it anew.")
    return DatasetRecords(image_root, categories, images)


def load(path: Path) -> Document:
    """The JSON document at `path`; InputError unless it has the shape of COCO."""
    try:
        document = open_document(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that writes it.") from None
    except (OSError, ValueError, RecursionError) as broken:
        raise InputError(f"{path}: expected COCO JSON, got an unreadable file: {broken}.") from broken
    if document is None:
        raise InputError(f"{path}: expected COCO JSON with lists {', '.join(KEYS)}, got something else.")
    return document


def parse(
    document: Document, where: str, locate: Callable[[str], str | None], split: str | None = None
) -> tuple[tuple[Category, ...], list[ImageRecord], list[Finding]]:
    """Categories and images of one document. `locate` turns its file names into the data set's, None if missing."""
    categories = parse_categories(document.categories, where)
    findings: list[Finding] = []
    names = _image_entries(document, where, findings)
    objects = _objects(document, where, set(names), categories, findings)
    images = []
    for key, entry in names.items():
        place = f"{where}: image {key}"
        found = locate(entry["file_name"])
        if found is None:
            lost = f"expected an image {entry['file_name']!r}, got none"
            findings.append(Finding("missing-image", place, lost, f"its {len(objects[key].boxes)} boxes dropped"))
            continue
        size = _size(entry)
        image_id = key if isinstance(key, int) and not isinstance(key, bool) else -1
        annotation = on_one_line(_text(entry, "annotation") or place)
        own_split = split_of_word(_text(entry, "split")) or split
        images.append(objects[key].record(found, size, image_id=image_id, split=own_split, annotation=annotation))
    return categories, images, findings


def parse_categories(entries: Iterable[Any], where: str) -> tuple[Category, ...]:
    """The categories by id; InputError where ids or names are missing or double, for then no box has a meaning."""
    found = [_category(entry, f"{where}: category {at}") for at, entry in enumerate(entries, 1)]
    for kind, values in (("id", [str(c.category_id) for c in found]), ("name", [c.name for c in found])):
        double = first_double(values)
        if double is not None:
            raise InputError(f"{where}: expected one category for each {kind}, got {double!r} twice. Rename one.")
    return tuple(sorted(found, key=lambda category: category.category_id))


def _category(entry: Any, where: str) -> Category:
    try:
        category_id, name = int(entry["id"]), entry["name"]
    except (KeyError, TypeError, ValueError, OverflowError):  # int() of Infinity overflows
        raise InputError(f"{where}: expected a whole-number id and a name, got {shown(entry)}. Mend it.") from None
    if abs(category_id) > LARGEST_ID:
        raise InputError(f"{where}: expected an id of at most {LARGEST_ID}, got {shown(category_id)}. Mend it.")
    if not isinstance(name, (str, int, float)) or not is_utf8(str(name)):
        raise InputError(f"{where}: expected a name in plain text, got {shown(name)}. Rename it.")
    return Category(category_id, str(name))


def _image_entries(document: Document, where: str, findings: list[Finding]) -> dict[Any, Mapping[str, Any]]:
    entries: dict[Any, Mapping[str, Any]] = {}
    for position, entry in enumerate(document.images, 1):
        place = f"{where}: image entry {position}"
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), (int, str)) or not _text(entry, "file_name"):
            findings.append(Finding("unreadable-annotation", place, "expected id and file_name", "entry dropped"))
        elif entry["id"] in entries:
            findings.append(Finding("duplicate-image-id", place, f"id {entry['id']} was used before", "entry dropped"))
        else:
            entries[entry["id"]] = entry
    return entries


def _objects(
    document: Document,
    where: str,
    image_ids: set[Any],
    categories: tuple[Category, ...],
    findings: list[Finding],
) -> dict[Any, Objects]:
    label_of = {category.category_id: label for label, category in enumerate(categories)}
    objects = {key: Objects() for key in image_ids}
    outlined = 0
    for position, entry in enumerate(document.annotations(), 1):
        outline = box_of_outline(entry) if isinstance(entry, dict) and entry.get("bbox") in (None, []) else None
        problem = _problem(entry, objects, label_of, outline)
        if problem:
            name = shown(entry.get("id", position)) if isinstance(entry, dict) else position
            findings.append(Finding(problem[0], f"{where}: annotation {name}", problem[1], "box dropped"))
            continue
        x, y, width, height = outline or map(float, entry["bbox"])
        outlined += outline is not None
        label = label_of[entry["category_id"]]
        objects[entry["image_id"]].add((x, y, x + width, y + height), label, bool(entry.get("iscrowd", 0)))
    if outlined:
        what = f"expected a bbox, got {outlined} annotations with a segmentation alone"
        findings.append(Finding("box-from-outline", where, what, "box put around each outline"))
    return objects


def _problem(
    entry: Any, objects: Mapping[Any, Objects], label_of: Mapping[int, int], outline: tuple[float, ...] | None
) -> tuple[str, str] | None:
    """(code, what is wrong) with an annotation, or None."""
    if not isinstance(entry, dict):
        return "unreadable-annotation", f"expected an object with a bbox, got {shown(entry)}"
    image, category, bbox = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not isinstance(image, (int, str)) or image not in objects:
        return "unknown-image", f"expected the id of an image, got {shown(image)}"
    if not isinstance(category, int) or category not in label_of:
        return "unknown-class", f"expected the id of a category, got {shown(category)}"
    if outline is None and (not isinstance(bbox, list) or len(bbox) != 4 or finite_numbers(bbox) is None):
        return "box-not-numbers", f"expected bbox [x, y, width, height] in finite numbers, got {shown(bbox)}"
    return None


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _size(entry: Mapping[str, Any]) -> tuple[int, int]:
    numbers = finite_numbers((entry.get("height"), entry.get("width")))
    return (int(numbers[0]), int(numbers[1])) if numbers else (0, 0)


def _annotations(record: ImageRecord, category_ids: tuple[int, ...]) -> list[dict[str, Any]]:
    entries = []
    for box, label, ignore in zip(record.boxes_G4.tolist(), record.labels_G, record.ignore_G, strict=True):
        width, height = box[2] - box[0], box[3] - box[1]
        entries.append(
            {
                "image_id": record.image_id,
                "category_id": category_ids[int(label)],
                "bbox": [box[0], box[1], width, height],
                "area": width * height,
                "iscrowd": int(ignore),
            }
        )
    return entries
