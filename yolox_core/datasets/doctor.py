"""Checks every image and every box, and hands back only what can be used.

Each thing wrong becomes one finding that says where, what and what was done. Images are decoded once, on a pool of
threads, by the decoder that training uses.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from yolox_core.datasets.images import READERS, decode_image, read_bytes
from yolox_core.datasets.records import DatasetRecords, Finding, ImageRecord
from yolox_core.errors import InputError

ROUNDING_PX = 0.5  # a box beyond the border by less is rounding, clipped without a word


@dataclass(frozen=True)
class _Seen:
    """What one image file turned out to be."""

    size: tuple[int, int]  # (height, width) px
    digest: str
    problem: tuple[str, str] | None = None  # (code, what) where it cannot be used


def check(records: DatasetRecords) -> tuple[DatasetRecords, list[Finding]]:
    """The usable images with their usable boxes and true sizes, and everything that was wrong."""
    with ThreadPoolExecutor(READERS) as pool:
        seen = list(pool.map(lambda record: _look(records, record), records.images))
    findings: list[Finding] = []
    images: list[ImageRecord] = []
    first_of: dict[str, str] = {}
    for record, view in zip(records.images, seen, strict=True):
        if view.problem:
            code, what = view.problem
            action = f"image and its {len(record.boxes_G4)} boxes dropped"
            findings.append(Finding(code, record.file_name, what, action))
            continue
        first = first_of.setdefault(view.digest, record.file_name)
        if first != record.file_name:
            findings.append(Finding("image-duplicate", record.file_name, f"same content as {first}", "kept"))
        findings += _size_findings(record, view.size)
        sized = replace(record, height=view.size[0], width=view.size[1])
        checked, wrong = check_boxes(sized)
        images.append(checked)
        findings += wrong
    return replace(records, images=images), findings


def check_boxes(record: ImageRecord) -> tuple[ImageRecord, list[Finding]]:
    """The record with its usable boxes, clipped to its size, and one finding for each other box."""
    place = record.annotation or record.file_name
    findings: list[Finding] = []
    kept: list[int] = []
    boxes = record.boxes_G4.copy()
    known: set[tuple[object, ...]] = set()
    for index, box in enumerate(record.boxes_G4):
        where = f"{place}: object {index + 1}"
        problem = _box_problem(box, record)
        if problem:
            findings.append(Finding(problem[0], where, problem[1], "box dropped"))
            continue
        boxes[index] = np.clip(box, 0, [record.width, record.height, record.width, record.height])
        beyond = float(np.abs(boxes[index] - box).max())
        if beyond > ROUNDING_PX:
            what = f"{_show(box)} reaches {beyond:.4g} px out of the {record.width}x{record.height} image"
            findings.append(Finding("box-clipped", where, what, "box clipped"))
        key = (*boxes[index].tolist(), int(record.labels_G[index]), bool(record.ignore_G[index]))
        if key in known:
            what = f"{_show(box)} of the same class occurs before"
            findings.append(Finding("box-duplicate", where, what, "box dropped"))
            continue
        known.add(key)
        kept.append(index)
    chosen = np.asarray(kept, np.int64)
    usable = replace(
        record,
        boxes_G4=boxes[chosen],
        labels_G=record.labels_G[chosen],
        ignore_G=record.ignore_G[chosen],
    )
    return usable, findings


def summary(records: DatasetRecords, findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts for people and reports: findings by code, images, boxes, classes, object sizes."""
    labels = Counter(int(label) for record in records.images for label in record.labels_G)
    empty = sum(len(record.boxes_G4) == 0 for record in records.images)
    return {
        "images": len(records.images),
        "images_without_objects_share": round(empty / max(len(records.images), 1), 4),
        "boxes": sum(labels.values()),
        "boxes_per_class": {name: labels[label] for label, name in enumerate(records.class_names)},
        "object_size_px": _size_percentiles(records),
        "findings": len(findings),
        "findings_by_code": dict(sorted(Counter(finding.code for finding in findings).items())),
    }


def _look(records: DatasetRecords, record: ImageRecord) -> _Seen:
    path = records.path(record)
    if not path.is_file():
        return _Seen((0, 0), "", ("missing-image", "expected an image file, got none"))
    try:
        data = read_bytes(path)
        image = decode_image(data, record.file_name)
    except InputError as refused:
        return _Seen((0, 0), "", ("unreadable-image", str(refused).removeprefix(f"{record.file_name}: ")))
    return _Seen((int(image.shape[0]), int(image.shape[1])), hashlib.sha256(data).hexdigest())


def _size_findings(record: ImageRecord, true: tuple[int, int]) -> list[Finding]:
    annotated = (record.height, record.width)
    if annotated == true or min(annotated) <= 0:  # nothing was said: nothing is wrong
        return []
    what = f"annotated as {annotated[1]}x{annotated[0]}, the image is {true[1]}x{true[0]} (width x height)"
    code = "size-wrong"
    if annotated == true[::-1]:
        code, what = "size-transposed", f"{what}: annotated before it was turned upright?"
    elif abs(annotated[0] * true[1] - annotated[1] * true[0]) <= max(true):
        code, what = "size-scaled", f"{what}: annotated on a resized copy?"
    return [Finding(code, record.annotation or record.file_name, what, "size corrected, boxes kept as they are")]


def _box_problem(box: np.ndarray[Any, Any], record: ImageRecord) -> tuple[str, str] | None:
    """(code, what is wrong) where the box cannot be used."""
    if not np.isfinite(box).all():
        return "box-not-finite", f"expected finite numbers, got {_show(box)}"
    x1, y1, x2, y2 = box.tolist()
    if x2 < x1 or y2 < y1:
        return "box-inverted", f"expected x1 < x2 and y1 < y2, got {_show(box)}"
    if x2 == x1 or y2 == y1:
        return "box-without-area", f"expected an area, got {_show(box)}"
    if x2 <= 0 or y2 <= 0 or x1 >= record.width or y1 >= record.height:
        return "box-outside", f"expected a box in the {record.width}x{record.height} image, got {_show(box)}"
    return None


def _show(box: np.ndarray[Any, Any]) -> str:
    return f"[{', '.join(f'{value:g}' for value in box.tolist())}]"


def _size_percentiles(records: DatasetRecords) -> dict[str, float]:
    """Percentiles of sqrt(box area), source px."""
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *[record.boxes_G4 for record in records.images]])
    if not len(boxes):
        return {}
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return {f"p{share}": round(float(np.percentile(sides, share)), 1) for share in (0, 10, 50, 90, 100)}
