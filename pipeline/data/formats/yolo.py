"""YOLO txt: one line an object, `class cx cy width height` as shares of the image's size.

Labels lie in labels/ where images lie in images/, or beside them; a missing or empty label file means background.
What longer lines are stands in yolo_lines.py. Names come from data.yaml, classes.txt or *.names; category ids count
from 1, where ours are not found in data.yaml.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from pipeline.data.formats import yolo_ids, yolo_lines, yolo_names, yolo_splits
from pipeline.data.formats.yolo_lines import Numbered, Row
from pipeline.data.formats.yolo_pairs import (
    data_images,
    label_candidates,
    label_files,
    pair,
    without_labels,
    without_results,
)
from pipeline.data.parsing import yaml_text
from pipeline.data.parsing.box_builder import finite_numbers
from pipeline.data.parsing.encodings import decoded, with_foreign_bytes
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.text import shown
from yolox_core.data.image_io import image_size
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects

_MAX_CLASSES = 10_000  # a larger index is a mistake, not a class


def annotation_files(listing: Listing) -> list[str]:
    """The folder's label files, as yolo_pairs.py has it."""
    return label_files(listing)


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All images, with the objects of those that have a label file."""
    findings: list[Finding] = []
    descriptions = yolo_splits.of_these_images(listing, _descriptions(listing, findings), files)
    named = yolo_names.class_names(listing, descriptions, yolo_splits.darknets_names(listing), findings)
    names = named.all if named else None
    own = [(name, document) for name, document in descriptions[:1] if yolo_ids.KEY in document]
    listed = yolo_splits.listed(listing, descriptions, files, own=bool(own), findings=findings)
    matched, doubles = pair(listing, files, findings)
    files = without_results(files, matched, listed, findings)
    kept = set(files)
    label_of = {image: file for image, file in matched.items() if file in kept}
    lines = _lines(listing, files, named, descriptions, findings)
    chosen = [image for image in data_images(listing, label_of, listed, findings) if image not in doubles]
    splits = listed if own else yolo_splits.splits(chosen, listed, descriptions, findings)
    image_ids = yolo_ids.image_ids(*own[0], chosen) if own else None
    images = []
    for image in chosen:
        label_file = label_of.get(image, "")
        record = _record(listing, image, label_file, lines.get(label_file, []), splits.get(image), findings)
        if record:
            images.append(replace(record, image_id=image_ids[image]) if image_ids else record)
    findings += without_labels([record.file_name for record in images], label_of)
    used = set(label_of.values())
    for name in files:
        if name not in used:
            findings.append(_without_image(listing, name, label_of, len(lines[name])))
    if named and not named.own:
        findings += _counted_from_one(len(named.all), lines, findings)
    categories = _categories(names, lines, findings)
    category_ids = yolo_ids.category_ids(own[0][1], len(categories)) if own else None
    if category_ids:
        paired = zip(category_ids, categories, strict=True)
        categories = tuple(replace(category, category_id=category_id) for category_id, category in paired)
    return DatasetRecords(listing.root, categories, images), findings


def _descriptions(listing: Listing, findings: list[Finding]) -> list[tuple[str, dict[str, Any]]]:
    """The YAML files that name classes, the outermost first."""
    found = []
    for name in yolo_names.nearest_first(listing.ending(".yaml", ".yml")):
        try:
            document = yaml_text.parse(decoded((listing.root / name).read_bytes(), listing.encoding))
        except (OSError, ValueError) as broken:
            # perhaps some other tool's file: names are then looked for elsewhere
            what = f"expected YAML, got an unreadable file: {str(broken)[:200]}"
            findings.append(Finding("unreadable-annotation", name, what, "file left out"))
            continue
        if isinstance(document, dict) and isinstance(document.get("names"), (list, dict)):
            found.append((name, document))
    return found


def _without_image(listing: Listing, name: str, label_of: Mapping[str, str], boxes: int) -> Finding:
    """Of a label file that no image has: there is none called so, or it has another file."""
    stem = PurePosixPath(name).stem
    found = listing.locate(name, stem=stem)
    if found.image and found.image in label_of:
        what = f"expected one label file for an image, got {label_of[found.image]} for {found.image}, too"
        return Finding("duplicate-annotation", name, what, f"its {boxes} boxes dropped")
    what = f"expected an image called {stem}.*, got {found.image or found.got}"
    return Finding("missing-image", name, what, f"its {boxes} boxes dropped")


def label_path(image: str) -> str:
    """Where the labels of an image lie first of all."""
    return label_candidates(image)[0]


def _record(
    listing: Listing, image: str, label_file: str, rows: list[Row], split: str | None, findings: list[Finding]
) -> ImageRecord | None:
    """The image with its boxes in pixels, for which its true size must be known."""
    if not listing.exists(image):
        what = "expected an image, got a link to nowhere"
        findings.append(Finding("missing-image", image, what, f"image and its {len(rows)} boxes left out"))
        return None
    try:
        height, width = image_size(listing.root / image)
    except InputError as refused:
        findings.append(Finding("unreadable-image", image, str(refused).partition(": ")[2], "image left out"))
        return None
    boxes = ((x1 * width, y1 * height, x2 * width, y2 * height) for (x1, y1, x2, y2), _, _ in rows)
    objects = Objects.of((box, label, ignore) for box, (_, label, ignore) in zip(boxes, rows, strict=True))
    return ImageRecord(0, image, height, width, objects, split, label_file)


def _lines(
    listing: Listing,
    files: list[str],
    named: yolo_names.Names | None,
    descriptions: yolo_names.Descriptions,
    findings: list[Finding],
) -> dict[str, list[Row]]:
    """The objects of every label file. What their lines are is decided when all of them are known."""
    broken: dict[str, list[tuple[int, str, str]]] = {name: [] for name in files}  # line, code, what
    numbered = {}
    for name in files:
        names = named.of(name) if named else None
        numbered[name] = _numbered(listing, name, names, broken[name], findings)
    kpt_shape = next((shape for _, document in descriptions if (shape := yolo_lines.key_points(document))), None)
    reading, unclear = yolo_lines.reading_of(numbered, kpt_shape, described=bool(descriptions))
    findings += unclear
    rows: dict[str, list[Row]] = {}
    for name, found in numbered.items():
        good = []
        for number, numbers in found:
            problem = reading.problem(len(numbers))
            if problem:
                broken[name].append((number, "box-not-numbers", problem))
            else:
                good.append(reading.row(numbers))
        rows[name] = _in_one_order(named, name, good) if named and named.own else good
        for number, code, what in sorted(broken[name]):
            findings.append(Finding(code, f"{name}: line {number}", what, "box dropped"))
    return rows


def _in_one_order(named: yolo_names.Names, name: str, rows: list[Row]) -> list[Row]:
    """The objects by the indices that the whole set has for the names of their folder."""
    index = {label: at for at, label in enumerate(named.all)}
    own = named.of(name)
    return [(box, index[own[label]], ignore) for box, label, ignore in rows]


def _numbered(
    listing: Listing,
    name: str,
    names: tuple[str, ...] | None,
    broken: list[tuple[int, str, str]],
    findings: list[Finding],
) -> list[Numbered]:
    """The lines of a file that are numbers and name a class; of the others what is wrong with them."""
    try:
        text = with_foreign_bytes((listing.root / name).read_bytes(), listing.encoding)
    except OSError as failed:
        what = f"expected a text file, got: {failed.strerror}"
        findings.append(Finding("unreadable-annotation", name, what, "taken as background"))
        return []
    count = len(names) if names else _MAX_CLASSES
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        numbers = finite_numbers(words)
        if numbers is None:
            broken.append((number, "box-not-numbers", f"expected finite numbers, got {shown(' '.join(words))}"))
        elif numbers[0] != int(numbers[0]) or not 0 <= numbers[0] < count:
            what = f"expected a class index from 0 to {count - 1}, got {shown(words[0])}"
            broken.append((number, "unknown-class", what))
        else:
            found.append((number, numbers))
    return found


def _counted_from_one(count: int, lines: Mapping[str, list[Row]], findings: list[Finding]) -> list[Finding]:
    """One finding where no object has class 0 and the only unknown class is the one after the last."""
    unknown = {finding.what.partition(", got ")[2] for finding in findings if finding.code == "unknown-class"}
    if unknown != {shown(str(count))} or any(label == 0 for rows in lines.values() for _, label, _ in rows):
        return []
    what = f"expected class indices from 0 to {count - 1}, got 1 to {count}: do they count from 1?"
    return [Finding("class-indices-from-one", "the data set", what, "read as before")]


def _categories(
    names: tuple[str, ...] | None, lines: Mapping[str, list[Row]], findings: list[Finding]
) -> tuple[Category, ...]:
    if not names:
        count = 1 + max((label for rows in lines.values() for _, label, _ in rows), default=-1)
        names = tuple(f"class_{label}" for label in range(count))
        what = "expected data.yaml, classes.txt or *.names with the class names, got none"
        if names:
            findings.append(Finding("no-class-names", "the data set", what, f"called {', '.join(names[:3])} ..."))
    return tuple(Category(label + 1, name) for label, name in enumerate(names))
