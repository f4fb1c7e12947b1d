"""Hugging Face imagefolder: metadata.jsonl or metadata.csv beside images, an entry for each, with boxes in `objects`.

`bbox` is [x, y, width, height] px as in COCO. Classes are names, or numbers that README.md names; these are the ids.
Format: huggingface.co/docs/datasets/image_dataset#object-detection.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from pipeline.data.parsing import yaml_text
from pipeline.data.parsing.box_builder import CONFIDENCES, finite_numbers, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder, class_name, whole_id
from pipeline.data.parsing.encodings import decoded, with_foreign_bytes
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.split_names import split_of_folders, splits_of_files
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import files_with
from yolox_core.data.records import LARGEST_ID, DatasetRecords

_LINES = re.compile(rb'\A(?=.*"(\w+_)?file_name"\s*:)(?=.*"(objects|bbox(es)?)"\s*:)', re.DOTALL)
_HEADER = re.compile(rb"\A(?=[^\n]*file_name)(?=[^\n]*\bobjects\b)")
_BOXES = ("bbox", "bboxes", "box", "boxes")
_CLASSES = (
    "categories",
    "category",
    "labels",
    "label",
    "classes",
    "class",
    "category_id",
    "category_ids",
    "names",
    "name",
)
_Object = tuple[object, object, object]  # box, class and, where there is one, confidence as written


def annotation_files(listing: Listing) -> list[str]:
    """The folder's *.jsonl whose entries hold file_name and objects, and metadata.csv with these columns."""
    tables = files_with(listing, "metadata.csv", _HEADER)
    return files_with(listing, ".jsonl", _LINES, begin=b"{") + tables


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All images that an entry names; one without `objects` has none."""
    found = DatasetBuilder(listing)
    split_of = splits_of_files(files)
    for name in files:
        for where, entry in _entries(found, name):
            _add_entry(found, name, where, entry, split_of[name])
    return _with_numbers(found)


def _entries(found: DatasetBuilder, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry of a file with its place; a finding each of what is none."""
    try:
        lines = decoded((found.listing.root / name).read_bytes(), found.listing.encoding).split("\n")
    except (OSError, ValueError) as broken:
        what = f"expected a text, got an unreadable file: {str(broken)[:200]}"
        found.findings.append(Finding("unreadable-annotation", name, what, "file left out"))
        return
    is_table = PurePosixPath(name).suffix.lower() == ".csv"
    for where, entry in _rows(found, name, lines) if is_table else _documents(found, name, lines):
        if isinstance(entry, dict):
            yield where, entry
        else:
            _leave_out(found, where, entry)


def _documents(found: DatasetBuilder, name: str, lines: list[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines, 1):
        where = f"{name}: line {number}"
        if line.strip():
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError):
                _leave_out(found, where, line)


def _rows(found: DatasetBuilder, name: str, lines: list[str]) -> Iterator[tuple[str, Any]]:
    try:
        for number, row in enumerate(csv.DictReader(f"{line}\n" for line in lines), 2):
            where, text = f"{name}: row {number}", row.get("objects") or "null"
            try:
                yield where, {**row, "objects": json.loads(text)}
            except (ValueError, RecursionError):
                _leave_out(found, where, text)
    except csv.Error as broken:
        found.findings.append(Finding("unreadable-annotation", name, f"expected CSV, got: {broken}", "rest left out"))


def _leave_out(found: DatasetBuilder, where: str, got: object) -> None:
    what = f"expected an entry with file_name and objects in JSON, got {shown(got)}"
    found.findings.append(Finding("unreadable-annotation", where, what, "entry left out"))


def _add_entry(found: DatasetBuilder, name: str, where: str, entry: dict[str, Any], split_of_file: str | None) -> None:
    named = [key for key in entry if isinstance(key, str) and (key == "file_name" or key.endswith("_file_name"))]
    written = next((entry[key] for key in sorted(named, key=len) if isinstance(entry[key], str)), None)
    objects = _objects(entry.get("objects", entry))
    if not written or objects is None:
        _leave_out(found, where, entry)
        return
    image = found.listing.locate(name, written)
    size = size_of(entry.get("height"), entry.get("width"))
    words = split_of_file or split_of_folders(image.image or "")
    annotated = Annotated(where, size, words=words, image_id=whole_id(entry.get("image_id", entry.get("id"))))
    if not found.claim(image, written, annotated):
        return
    for number, (box, label, score) in enumerate(objects, 1):
        _add_object(found, annotated, f"{where}: object {number}", box, label)
        found.note_confidence(f"{where}: object {number}", {"score": score})


def _objects(value: object) -> list[_Object] | None:
    """The objects of an image, be it lists by key or a list of objects; None where they are neither."""
    if value is None:
        return []
    if isinstance(value, list):
        keyed = [one for one in value if isinstance(one, dict)]
        each = [(_first(one, _BOXES), _first(one, _CLASSES), _first(one, CONFIDENCES)) for one in keyed]
        return each if len(keyed) == len(value) else None
    if not isinstance(value, dict):
        return None
    boxes, labels = _first(value, _BOXES) or [], _first(value, _CLASSES)
    if not isinstance(boxes, list):
        return None
    if not isinstance(labels, list):
        labels = [labels] * len(boxes)  # one for all, or none
    scores = _first(value, (*CONFIDENCES, "scores", "confidences"))
    if not isinstance(scores, list) or len(scores) != len(boxes):
        scores = [None] * len(boxes)
    return list(zip(boxes, labels, scores, strict=True)) if len(boxes) == len(labels) else None


def _first(value: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)


def _add_object(found: DatasetBuilder, annotated: Annotated, where: str, box: object, label: object) -> None:
    numbers = finite_numbers(box) if isinstance(box, list) and len(box) == 4 else None
    number = _whole(label)
    name = class_name(label) if number is None else str(number)
    if numbers is None:
        found.drop("box-not-numbers", where, f"expected x, y, width, height in finite numbers, got {shown(box)}")
    elif name is None or (number is not None and number < 0):
        found.drop("unknown-class", where, f"expected a class, got {shown(label)}")
    else:
        x, y, width, height = numbers
        annotated.add(name, (x, y, x + width, y + height))


def _whole(label: object) -> int | None:
    """The number that a class has instead of a name; None where it is a name."""
    if isinstance(label, bool) or not isinstance(label, (int, float)) or not abs(label) <= LARGEST_ID:
        return None
    return int(label) if label == int(label) else None


def _with_numbers(found: DatasetBuilder) -> tuple[DatasetRecords, list[Finding]]:
    """The data set; where its classes are numbers, these are their ids, and README.md may hold their names."""
    used = {name for annotated in found.images.values() for name, _, _ in annotated.objects}
    if not used or not all(name.isascii() and name.isdigit() and len(name) < 20 for name in used):
        return found.records(), found.findings
    known = _known_names(found.listing)
    numbers = sorted({int(name) for name in used} | set(known))
    records = found.records([str(number) for number in numbers])
    categories = tuple(
        replace(category, category_id=number, name=known.get(number, category.name))
        for number, category in zip(numbers, records.categories, strict=True)
    )
    if not known:
        what = "expected names of classes in `categories`, or in README.md, got numbers alone"
        called = ", ".join(category.name for category in categories[:3])
        found.findings.append(Finding("no-class-names", "the data set", what, f"called {called} ..."))
    return replace(records, categories=categories), found.findings


def _known_names(listing: Listing) -> dict[int, str]:
    """The names that README.md's `class_label` gives the numbers; empty where it says none, or one of them twice."""
    for file in listing.ending("readme.md"):
        try:
            text = with_foreign_bytes((listing.root / file).read_bytes(), listing.encoding)
            head = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
            names = _class_label(yaml_text.parse(head))
        except (OSError, ValueError):  # some other text
            continue
        named = {
            int(key): class_name(name) for key, name in names.items() if str(key).isdecimal() and len(str(key)) < 9
        }
        known = {key: name for key, name in named.items() if name}
        if known and len(set(known.values())) == len(names):
            return known
    return {}


def _class_label(node: Any) -> dict[Any, Any]:
    """The `names` of the first `class_label` at any depth; YAML that is parsed is not deep."""
    if isinstance(node, dict):
        label = node.get("class_label")
        if isinstance(label, dict) and isinstance(label.get("names"), dict):
            return dict(label["names"])
        node = list(node.values())
    found = (_class_label(inner) for inner in node) if isinstance(node, list) else iter(())
    return next(filter(None, found), {})
