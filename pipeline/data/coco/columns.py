"""Annotations of a COCO file as columns: many at once, where nothing is odd about any of them.

A file of our own has one entry a line, which pyarrow reads many times as fast as Python makes objects of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from pipeline.data.parsing.box_builder import LARGEST, finite_numbers
from yolox_core.structures import BoolArray

HEAD, IMAGES_END, ANNOTATIONS_END, TAIL = (
    b'{\n"images": [\n',
    b'\n],\n"annotations": [\n',
    b'\n],\n"categories": [\n',
    b"\n]\n}\n",
)
PIECE_BYTES = 2**25  # read at a time
_NO = frozenset({"", "0", "0.0", "false", "no"})


@dataclass(frozen=True)
class Columns:
    """Some annotations, in their order."""

    image_ids: Sequence[int | str]
    category_ids: Sequence[int]
    boxes_N4: npt.NDArray[np.float64]  # x, y, width, height; finite
    crowd_N: BoolArray


def columns_of(entries: Sequence[Any]) -> Columns | None:
    """The entries of a document; None where one of them needs a closer look."""
    try:
        boxes = [entry["bbox"] for entry in entries]
        image_ids = [entry["image_id"] for entry in entries]
        category_ids = [entry["category_id"] for entry in entries]
        boxes_N4 = _plain_boxes(np.array(boxes, np.float64)) if set(map(type, boxes)) == {list} else None
        if any("attributes" in entry and rotation_of(entry) for entry in entries):
            return None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if boxes_N4 is None or not set(map(type, image_ids)) <= {int, str} or not set(map(type, category_ids)) <= {int}:
        return None
    crowd_N = np.array([is_crowd(entry) for entry in entries], np.bool_)
    return Columns(image_ids, category_ids, boxes_N4, crowd_N)


def is_crowd(entry: Mapping[str, Any]) -> bool:
    """Whether an annotation is of a region of many objects; "0" is what 0 becomes in a table of texts."""
    said = entry.get("iscrowd", 0)
    return said.strip().lower() not in _NO if isinstance(said, str) else bool(said)


def rotation_of(entry: Mapping[str, Any]) -> float:
    """Degrees by which an annotation's bbox is turned about its centre, as CVAT and Datumaro write it; 0 where not."""
    attributes = entry.get("attributes")
    numbers = finite_numbers([attributes.get("rotation") or 0]) if isinstance(attributes, dict) else None
    return numbers[0] % 360 if numbers else 0.0


def joined(parts: Sequence[Columns]) -> Columns:
    """One after the other."""
    return Columns(
        [image_id for part in parts for image_id in part.image_ids],
        [category_id for part in parts for category_id in part.category_ids],
        np.concatenate([np.zeros((0, 4)), *[part.boxes_N4 for part in parts]]),
        np.concatenate([np.zeros(0, np.bool_), *[part.crowd_N for part in parts]]),
    )


def read_own(path: Path) -> tuple[list[Any], Columns, list[Any]] | None:
    """Images, annotations and categories of a file of ours; None of any other, and where an entry is odd."""
    with path.open("rb") as file:
        if file.read(len(HEAD)) != HEAD:
            return None
        try:
            text = mmap(file.fileno(), 0, access=ACCESS_READ)
        except OSError:  # some file systems have none
            return None
        with text:
            return _read_own(text)


def _read_own(text: mmap) -> tuple[list[Any], Columns, list[Any]] | None:
    first, last = text.find(IMAGES_END), text.rfind(ANNOTATIONS_END)
    if not 0 <= first <= last or text[-len(TAIL) :] != TAIL:
        return None
    try:
        images = _strictly(text[len(HEAD) : first])
        categories = _strictly(text[last + len(ANNOTATIONS_END) : -len(TAIL)])
    except (ValueError, RecursionError):
        return None
    parts = []
    start = first + len(IMAGES_END)
    while start < last:
        end = last if last - start <= PIECE_BYTES else text.rfind(b",\n", start, start + PIECE_BYTES)
        part = _lines(text[start:end]) if end > start else None
        if part is None:
            return None
        parts.append(part)
        start = end + len(b",\n")
    return images, joined(parts), categories


def _strictly(entries: bytes) -> list[Any]:
    """A list's entries; ValueError where they are no JSON, which NaN is not."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"expected a number, got {constant}")

    found: list[Any] = json.loads(f"[{entries.decode()}]", parse_constant=refuse)
    return found


def _lines(text: bytes) -> Columns | None:
    """Annotations, one a line; None where a line is none that `write_coco` writes."""
    try:
        import pyarrow as pa  # here: the core alone does without it
        from pyarrow import json as arrow_json
    except ImportError:
        return None
    whole, number = pa.int64(), pa.float64()
    fields = {"id": whole, "image_id": whole, "category_id": whole, "bbox": pa.list_(number), "area": number}
    options = arrow_json.ParseOptions(
        explicit_schema=pa.schema(fields | {"iscrowd": whole}), unexpected_field_behavior="error"
    )
    plain = text.replace(b"},\n", b"}\n")  # pyarrow wants lines without commas between
    try:
        table = arrow_json.read_json(pa.BufferReader(plain), parse_options=options)
    except pa.ArrowInvalid:
        return None
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    bbox = columns.pop("bbox")
    columns["numbers"] = bbox.flatten()
    lines = len(table) - 1 == text.count(b"\n") == len(text) - len(plain)
    if not lines or bbox.null_count or any(column.null_count for column in columns.values()):
        return None
    arrays = {name: np.from_dlpack(column) for name, column in columns.items()}  # to_numpy() would import pandas first
    if not np.isfinite(arrays["area"]).all() or (np.diff(np.from_dlpack(bbox.offsets)) != 4).any():
        return None
    boxes_N4 = _plain_boxes(arrays["numbers"].reshape(-1, 4))
    if boxes_N4 is None:
        return None
    return Columns(
        arrays["image_id"].tolist(), arrays["category_id"].tolist(), boxes_N4, arrays["iscrowd"].astype(np.bool_)
    )


def _plain_boxes(boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """Boxes [N, 4] of numbers that coordinates can be; None where one of them is not."""
    plain = boxes.ndim == 2 and boxes.shape[1] == 4 and bool((np.abs(boxes) <= LARGEST).all())
    return boxes if plain else None
