"""One COCO JSON file: reading any, and writing the normalised form that the pipeline passes from stage to stage.

Category ids stay as the data set has them; a class index is a position in the order of ids. Beyond the standard,
an image of ours may carry `split` and `annotation` (where its objects were first read).
Format: cocodataset.org/#format-data.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from pipeline.data.coco.columns import HEAD, Columns, columns_of, is_crowd, joined, rotation_of
from pipeline.data.coco.json_stream import KEYS, Document, open_document
from pipeline.data.coco.segmentation import box_of_segmentation
from pipeline.data.parsing.box_builder import around_turned, finite_numbers, has_confidence, size_of, whole_number
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.gc_pause import gc_paused
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.split_names import split_of_word
from pipeline.data.parsing.text import first_double, is_utf8, shown
from yolox_core.atomic_files import new_text
from yolox_core.data.records import LARGEST_ID, Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError, on_one_line, sentence
from yolox_core.structures import Objects

BLOCK = 4096  # annotations looked at, or written, together
_SAMPLE = 64  # annotations of a block that are asked for a confidence
SMALL = 1e-4  # numbers below are written in powers of ten: by Python with two digits, 1e-05, by orjson with one
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def write_coco(records: DatasetRecords, path: Path) -> None:
    """Write `records` as COCO JSON in one step; equal records give equal bytes. ValueError: a number is not finite."""
    categories = [{"id": category.category_id, "name": category.name} for category in records.categories]
    with new_text(path) as file:  # one entry a line: readable, and a change of the data is a small diff
        file.write("{\n")
        _write_list(file, "images", (_ENCODER.encode(_image(record)) for record in records.images), ",\n")
        _write_list(file, "annotations", _annotation_lines(records), ",\n")
        _write_list(file, "categories", map(_ENCODER.encode, categories), "\n}\n")


def _image(record: ImageRecord) -> dict[str, Any]:
    extra = {"split": record.split, "annotation": record.annotation}
    return {
        "id": record.image_id,
        "file_name": record.file_name,
        "height": record.height,
        "width": record.width,
        **{key: value for key, value in extra.items() if value},
    }


def _annotation_lines(records: DatasetRecords) -> Iterator[str]:
    """Each annotation as JSON; formatted here, for the encoder takes five times as long for a million of them."""
    category_ids = records.category_ids
    boxes_N4 = Objects.joined(record.objects for record in records.images).boxes_G4.astype(np.float64)
    if not np.isfinite(boxes_N4).all():
        raise ValueError("expected finite coordinates, got boxes that were not checked")
    boxes_N4[:, 2:] -= boxes_N4[:, :2]
    numbers = _in_json(np.hstack([boxes_N4, boxes_N4[:, 2:3] * boxes_N4[:, 3:]]))
    number = 0
    for record in records.images:
        mine = islice(numbers, len(record.objects))
        for text, (_, label, ignore) in zip(mine, record.objects.rows(), strict=True):
            number += 1
            bbox, _, area = text.rpartition(", ")
            whose = f'"id": {number}, "image_id": {record.image_id}, "category_id": {category_ids[label]}'
            yield f'{{{whose}, "bbox": [{bbox}], "area": {area}, "iscrowd": {int(ignore)}}}'


def _in_json(rows_NM: npt.NDArray[np.float64]) -> Iterator[str]:
    """Each row's numbers as Python writes them, with a comma and a blank between; by orjson, which is quicker."""
    try:
        import orjson  # here: the core alone does without it
    except ImportError:
        yield from _by_python(rows_NM)
        return
    for start in range(0, len(rows_NM), BLOCK):
        block = np.ascontiguousarray(rows_NM[start : start + BLOCK])
        if ((np.abs(block) < SMALL) & (block != 0)).any():
            yield from _by_python(block)
        else:
            text = orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY).decode("ascii")
            yield from text[2:-2].replace(",", ", ").split("], [")


def _by_python(rows_NM: npt.NDArray[np.float64]) -> Iterator[str]:
    return (", ".join(map(repr, row.tolist())) for row in rows_NM)


def _write_list(file: TextIO, key: str, entries: Iterable[str], end: str) -> None:
    file.write(f'"{key}": [\n')
    for at, entry in enumerate(entries):
        file.write((",\n" if at else "") + entry)
    file.write(f"\n]{end}")


@gc_paused()
def read_coco(path: Path, image_root: Path) -> DatasetRecords:
    """A file that `write_coco` wrote; InputError where it is missing or was altered beyond reading."""
    categories, images, findings = parse(load(path), str(path), Match, own=True)
    if findings:
        raise InputError(f"{path}: expected a file written by this pipeline, got: {findings[0].line()}. Run it anew.")
    return DatasetRecords(image_root, categories, images)


def is_own(path: Path) -> bool:
    """Whether a file begins as those of `write_coco`, which say all that we know of a split."""
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD


def load(path: Path) -> Document:
    """The JSON document at `path`; InputError unless it has the shape of COCO."""
    try:
        document = open_document(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the stage that writes it.") from None
    except (OSError, ValueError, RecursionError) as broken:
        raise InputError(f"{path}: expected COCO JSON, got an unreadable file: {sentence(broken)}") from broken
    if document is None:
        raise InputError(f"{path}: expected COCO JSON with lists {', '.join(KEYS)}, got something else.")
    return document


@gc_paused()
def parse(
    document: Document,
    where: str,
    locate: Callable[[str], Match],
    split: str | None = None,
    own: bool = False,
) -> tuple[tuple[Category, ...], list[ImageRecord], list[Finding]]:
    """Categories and images of one document. `locate` turns its file names into the data set's.

    `own`: written by us, whose images say themselves where they were annotated, or do not.
    """
    categories = parse_categories(document.categories, where)
    findings: list[Finding] = []
    names = _image_entries(document, where, findings)
    objects = _objects(document, where, {key: at for at, key in enumerate(names)}, categories, findings)
    images = []
    for (key, entry), mine in zip(names.items(), objects, strict=True):
        found = locate(entry["file_name"])
        place = f"{where}: image {key}"
        if found.image is None:
            lost = f"expected an image {entry['file_name']!r}, got {found.got}"
            findings.append(Finding("missing-image", place, lost, f"its {len(mine)} boxes dropped"))
            continue
        if found.doubt:
            findings.append(Finding("image-doubtful", place, found.doubt, f"{found.image} taken"))
        height, width = size_of(entry.get("height"), entry.get("width"))
        image_id = -1 if (number := whole_number(key)) is None else number
        annotation = on_one_line(_text(entry, "annotation") or ("" if own else place))
        own_split = split_of_word(_text(entry, "split")) or split
        images.append(ImageRecord(image_id, found.image, height, width, mine, own_split, annotation))
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
    category_id = whole_number(entry.get("id")) if isinstance(entry, dict) else None
    if category_id is None or "name" not in entry:
        raise InputError(f"{where}: expected a whole-number id and a name, got {shown(entry)}. Mend it.")
    name = entry["name"]
    if abs(category_id) > LARGEST_ID:
        raise InputError(f"{where}: expected an id of at most {LARGEST_ID}, got {shown(category_id)}. Mend it.")
    if not isinstance(name, (str, int, float)) or not is_utf8(str(name)):
        raise InputError(f"{where}: expected a name in plain text, got {shown(name)}. Rename it.")
    return Category(category_id, str(name))


def _image_entries(document: Document, where: str, findings: list[Finding]) -> dict[Any, Mapping[str, Any]]:
    entries: dict[Any, Mapping[str, Any]] = {}
    for position, entry in enumerate(document.images, 1):
        place = f"{where}: image entry {position}"
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("id"), (int, float, str))
            or not (written := _text(entry, "file_name") or _of_address(_text(entry, "coco_url")))
        ):
            findings.append(Finding("unreadable-annotation", place, "expected id and file_name", "entry dropped"))
        elif entry["id"] in entries:
            findings.append(Finding("duplicate-image-id", place, f"id {entry['id']} was used before", "entry dropped"))
        else:
            entries[entry["id"]] = entry if entry.get("file_name") else {**entry, "file_name": written}
    return entries


def _objects(
    document: Document,
    where: str,
    place_of: Mapping[Any, int],
    categories: tuple[Category, ...],
    findings: list[Finding],
) -> Iterator[Objects]:
    """Boxes xyxy, class indices and crowd flags of each image, in the order of their places."""
    label_of = {category.category_id: label for label, category in enumerate(categories)}
    count = len(place_of)
    found = _in_places(document.columns, place_of, label_of)
    if found is None:
        place_of, label_of = _by_any_type(place_of), _by_any_type(label_of)
        found = joined(list(_by_blocks(document, where, place_of, label_of, findings)))
    place_N = np.array(found.image_ids, np.int64)
    order_N = np.argsort(place_N, kind="stable")
    xywh_N4 = found.boxes_N4[order_N]
    boxes_N4 = np.hstack([xywh_N4[:, :2], xywh_N4[:, :2] + xywh_N4[:, 2:]]).astype(np.float32)
    objects = Objects(boxes_N4, np.array(found.category_ids, np.int64)[order_N], found.crowd_N[order_N])
    ends = np.searchsorted(place_N[order_N], np.arange(count), side="right").tolist()
    return (objects[start:end] for start, end in zip([0, *ends], ends, strict=False))


def _by_any_type(of_id: Mapping[Any, int]) -> dict[Any, int]:
    """The same for ids that one entry writes as a number, another as a text; what is written alike goes first."""
    numbers = ((whole_number(key), at) for key, at in of_id.items())
    other = {alias: at for number, at in numbers if number is not None for alias in (number, str(number))}
    return {**other, **of_id}


def _by_blocks(
    document: Document, where: str, place_of: Mapping[Any, int], label_of: Mapping[Any, int], findings: list[Finding]
) -> Iterator[Columns]:
    """All annotations that can be used, many together where nothing is odd about them; findings for the others."""
    entries = iter(document.annotations())
    position, odd = 0, _Odd()
    while block := list(islice(entries, BLOCK)):
        part = _in_places(columns_of(block), place_of, label_of)
        if part is None:
            part = _one_by_one(block, position, where, place_of, label_of, findings, odd)
        odd.confident += sum(isinstance(entry, dict) and has_confidence(entry) for entry in block[:_SAMPLE])
        yield part
        position += len(block)
    findings += odd.findings(where)


@dataclass
class _Odd:
    """How many annotations were more than a box of their own."""

    outlined: int = 0
    turned: int = 0
    confident: int = 0  # of each block's first

    def findings(self, where: str) -> Iterator[Finding]:
        """One for each kind."""
        if self.outlined:
            what = f"expected a bbox, got {self.outlined} annotations with a segmentation alone"
            yield Finding("box-from-outline", where, what, "box put around each outline")
        if self.turned:
            what = f"expected upright boxes, got {self.turned} with a rotation"
            yield Finding("box-turned", where, what, "the upright box around each kept")
        if self.confident:
            what = "expected annotations, got boxes with a score: detections of a model?"
            yield Finding("boxes-with-confidence", where, what, "boxes kept")


def _in_places(columns: Columns | None, place_of: Mapping[Any, int], label_of: Mapping[Any, int]) -> Columns | None:
    """The annotations with places of images and class indices for ids; None where there are none such."""
    if columns is None:
        return None
    try:
        places = [place_of[image_id] for image_id in columns.image_ids]
        labels = [label_of[category_id] for category_id in columns.category_ids]
    except KeyError:
        return None
    return replace(columns, image_ids=places, category_ids=labels)


def _one_by_one(
    entries: Sequence[Any],
    position: int,
    where: str,
    place_of: Mapping[Any, int],
    label_of: Mapping[Any, int],
    findings: list[Finding],
    odd: _Odd,
) -> Columns:
    """Those of the entries from `position` on that can be used, by places of images and class indices."""
    places, labels, boxes, crowd = [], [], [], []
    for number, entry in enumerate(entries, position + 1):
        outline = box_of_segmentation(entry) if isinstance(entry, dict) and entry.get("bbox") in (None, []) else None
        problem = _problem(entry, place_of, label_of, outline)
        if problem:
            name = shown(entry.get("id", number)) if isinstance(entry, dict) else number
            findings.append(Finding(problem[0], f"{where}: annotation {name}", problem[1], "box dropped"))
            continue
        odd.outlined += outline is not None
        places.append(place_of[entry["image_id"]])
        labels.append(label_of[entry["category_id"]])
        boxes.append(list(outline or _upright(entry, odd)))
        crowd.append(is_crowd(entry))
    boxes_N4 = np.array(boxes, np.float64).reshape(-1, 4)
    return Columns(places, labels, boxes_N4, np.array(crowd, np.bool_))


def _upright(entry: Mapping[str, Any], odd: _Odd) -> tuple[float, float, float, float]:
    """(x, y, width, height) of an annotation's bbox, or of the upright one around it where it is turned."""
    x, y, width, height = map(float, entry["bbox"])
    degrees = rotation_of(entry)
    if not degrees:
        return x, y, width, height
    odd.turned += 1
    x1, y1, x2, y2 = around_turned((x, y, x + width, y + height), degrees)
    return x1, y1, x2 - x1, y2 - y1


def _problem(
    entry: Any, place_of: Mapping[Any, int], label_of: Mapping[Any, int], outline: tuple[float, ...] | None
) -> tuple[str, str] | None:
    """(code, what is wrong) with an annotation, or None."""
    if not isinstance(entry, dict):
        return "unreadable-annotation", f"expected an object with a bbox, got {shown(entry)}"
    image, category, bbox = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not isinstance(image, (int, float, str)) or image not in place_of:
        return "unknown-image", f"expected the id of an image, got {shown(image)}"
    if not isinstance(category, (int, float, str)) or category not in label_of:
        return "unknown-class", f"expected the id of a category, got {shown(category)}"
    if outline is None and (not isinstance(bbox, list) or len(bbox) != 4 or finite_numbers(bbox) is None):
        return "box-not-numbers", f"expected bbox [x, y, width, height] in finite numbers, got {shown(bbox)}"
    return None


def _of_address(url: str) -> str:
    """The path of an image at an address, which LVIS has instead of file names."""
    return unquote(url.partition("://")[2].partition("/")[2])


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
