"""Checks every image and every box, and hands back only what can be used.

Each thing wrong becomes one finding that says where, what and what was done.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.data.checks.alike_findings import EVERYTHING, merged
from pipeline.data.checks.box_reading import check_reading
from pipeline.data.checks.dataset_checks import check_classes, check_limit, check_sizes
from pipeline.data.checks.duplicate_findings import alike, same_files, sides, similar
from pipeline.data.checks.required_boxes import what_is_lacking
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.gc_pause import gc_paused
from pipeline.data.parsing.split_names import SPLITS
from pipeline.data.scan.duplicate_cache import Pair
from pipeline.data.scan.image_scan import ImageScan, scan_images
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.structures import BoolArray, FloatArray, IntArray, Objects

TINY_PX = 2.0  # a side, in the image itself
COVERING = 0.995  # of both sides
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio, for hashing by multiplication (Knuth, TAOCP 6.4)
ROUNDING_PX = 0.5  # a box beyond the border by less is rounding, clipped without a word


@gc_paused()
def check(
    records: DatasetRecords, seen: Sequence[ImageScan] | None = None, found: Sequence[Pair] | None = None
) -> tuple[DatasetRecords, list[Finding]]:
    """The usable images with their usable boxes and true sizes, and everything that was wrong.

    `seen` is what `scan_images` found each image to be, `found` what `alike` found among them; None: that is done here.
    Where nothing was wrong with an image, its record is the one that came in.
    """
    if seen is None:
        seen = scan_images(records)
    if found is None:
        found = alike(records.images, seen)
    whole = list(zip(records.images, seen, sides(records.images), strict=True))
    good = [(record, view, side) for record, view, side in whole if view.problem is None]
    sized = [_of_size(record, view.size) for record, view, _ in good]
    checked = check_boxes(sized)
    findings = check_reading(sized)
    usable: list[ImageRecord] = []
    for record, view, _ in whole:
        mine = (record.file_name,)
        if view.problem is not None:
            code, what = view.problem
            action = f"image and its {len(record.objects)} boxes dropped"
            findings.append(Finding(code, record.file_name, what, action, mine))
            continue
        mended, wrong = next(checked)  # of this record: both go through the good ones in their order
        findings += [Finding(code, record.file_name, what, "used", mine) for code, what in view.notes]
        findings += [replace(finding, images=mine) for finding in [*_size_findings(record, view.size), *wrong]]
        usable.append(mended)
    left = replace(records, images=usable)
    findings = merged(findings, left)
    findings += same_files(left, [view.digest for _, view, _ in good], [side for _, _, side in good])
    return left, findings + similar(records, seen, found)


def examine(
    records: DatasetRecords,
    input_size: int,
    seen: Sequence[ImageScan] | None = None,
    found: Sequence[Pair] | None = None,
) -> tuple[DatasetRecords, list[Finding]]:
    """As `check`, and what is odd about the set as a whole, for a network of `input_size` px."""
    usable, findings = check(records, seen, found)
    lacking = what_is_lacking(usable)
    nothing = [] if lacking is None else [Finding("no-usable-box", EVERYTHING, lacking, "kept")]
    return usable, [*findings, *nothing, *check_classes(usable), *check_sizes(usable, input_size), *check_limit(usable)]


def check_boxes(images: Sequence[ImageRecord]) -> Iterator[tuple[ImageRecord, list[Finding]]]:
    """Each image with its usable boxes, clipped to its size, and one finding for each other box."""
    odd_B = _with_odd_boxes(images)
    return (_check(record) if odd else (record, []) for record, odd in zip(images, odd_B.tolist(), strict=True))


def _of_size(record: ImageRecord, size: tuple[int, int]) -> ImageRecord:
    return record if (record.height, record.width) == size else replace(record, height=size[0], width=size[1])


def _with_odd_boxes(images: Sequence[ImageRecord]) -> BoolArray:
    """Which images [B] have a box that cannot be used as it is, without a word; all looked at at once, as few have."""
    boxes_N4 = Objects.joined(record.objects for record in images).boxes_G4
    image_N = np.repeat(np.arange(len(images)), [len(record.objects) for record in images])
    size_N2 = np.array([(record.width, record.height) for record in images], np.float32).reshape(-1, 2)[image_N]
    with np.errstate(invalid="ignore"):  # infinity less infinity; told one by one
        sides_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    inside_N = (boxes_N4[:, :2] >= 0).all(axis=1) & (boxes_N4[:, 2:] <= size_N2).all(axis=1)
    plain_N = inside_N & (sides_N2 >= TINY_PX).all(axis=1) & (sides_N2 < COVERING * size_N2).any(axis=1)
    odd_B = np.zeros(len(images), np.bool_)
    odd_B[image_N[~plain_N]] = True
    odd_B[image_N[_same_as_another(image_N, boxes_N4)]] = True
    return odd_B


def _same_as_another(image_N: IntArray, boxes_N4: FloatArray) -> BoolArray:
    """Which boxes occur again in their image; rarely one that does not, for they are told apart by a hash."""
    bits_N2 = (boxes_N4 + np.float32(0)).view(np.uint64)  # -0 becomes 0
    hash_N = image_N.astype(np.uint64)
    for bits_N in bits_N2.T:
        hash_N = (hash_N ^ (hash_N >> np.uint64(29)) ^ bits_N) * GOLDEN
    order_N = np.argsort(hash_N)
    again_N = np.zeros(len(hash_N), np.bool_)
    again_N[order_N[1:]] = hash_N[order_N[1:]] == hash_N[order_N[:-1]]
    return again_N


def _check(record: ImageRecord) -> tuple[ImageRecord, list[Finding]]:
    place = record.annotation or record.file_name
    findings: list[Finding] = []
    kept: list[int] = []
    boxes = record.objects.boxes_G4.copy()
    known: dict[tuple[float, ...], list[tuple[int, bool]]] = {}
    for index, box in enumerate(record.objects.boxes_G4):
        where = f"{place}: object {index + 1}"
        if (upright := _corners_turned(box, record)) is not None:
            what = f"expected x1 < x2 and y1 < y2, got {_show(box)}, both corners in the image"
            findings.append(Finding("box-inverted", where, what, "corners turned"))
            box = upright
        problem = _box_problem(box, record)
        if problem:
            findings.append(Finding(problem[0], where, problem[1], "box dropped"))
            continue
        boxes[index] = np.clip(box, 0, [record.width, record.height, record.width, record.height])
        beyond = float(np.abs(boxes[index] - box).max())
        if beyond > ROUNDING_PX:
            what = f"{_show(box)} reaches {beyond:.4g} px out of the {record.width}x{record.height} image"
            findings.append(Finding("box-clipped", where, what, "box clipped"))
        alike = known.setdefault(tuple(boxes[index].tolist()), [])
        kind = (int(record.objects.labels_G[index]), bool(record.objects.ignore_G[index]))
        if kind in alike:
            what = f"{_show(box)} of the same class occurs before"
            findings.append(Finding("box-duplicate", where, what, "box dropped"))
            continue
        alike.append(kind)
        kept.append(index)
        findings += _doubts(boxes[index], record, where, beside=any(label != kind[0] for label, _ in alike))
    chosen = np.asarray(kept, np.int64)
    return replace(record, objects=record.objects.moved(boxes)[chosen]), findings


def _corners_turned(box: FloatArray, record: ImageRecord) -> FloatArray | None:
    """The box with its corners in order, where they are plainly swapped: both in the image, and not on one line."""
    if not np.isfinite(box).all() or (box[:2] <= box[2:]).all() or (box[:2] == box[2:]).any():
        return None
    inside = (box >= -ROUNDING_PX).all() and (box[[0, 2]] <= record.width + ROUNDING_PX).all()
    if not inside or not (box[[1, 3]] <= record.height + ROUNDING_PX).all():
        return None
    upright: FloatArray = np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
    return upright


def _doubts(box: FloatArray, record: ImageRecord, where: str, beside: bool) -> list[Finding]:
    """What is odd about a box that can be used."""
    width, height = box[2] - box[0], box[3] - box[1]
    found = []
    if beside:
        found.append(Finding("box-twice-named", where, f"{_show(box)} is another class's box, too", "kept"))
    if min(width, height) < TINY_PX:
        found.append(Finding("box-tiny", where, f"{_show(box)} is {width:.3g} x {height:.3g} px", "kept"))
    if width >= COVERING * record.width and height >= COVERING * record.height:
        found.append(Finding("box-covers-all", where, f"{_show(box)} is the whole image", "kept"))
    return found


def summary(records: DatasetRecords, findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts for people and reports: findings by code, images, boxes, classes, object sizes."""
    labels_N = Objects.joined(record.objects for record in records.images).without_crowds.labels_G
    boxes = np.bincount(labels_N, minlength=len(records.categories)).tolist()
    empty = sum(len(record.objects) == 0 for record in records.images)
    return {
        "images": len(records.images),
        "images_without_objects_share": round(empty / max(len(records.images), 1), 4),
        "boxes": sum(boxes),
        "images_per_split": _per_split(records),
        "boxes_per_class": dict(zip(records.class_names, boxes, strict=True)),
        "object_size_px": _size_percentiles(records),
        "findings": len(findings),
        "findings_by_code": dict(sorted(Counter(finding.code for finding in findings).items())),
    }


def _per_split(records: DatasetRecords) -> dict[str, int]:
    """How many images are of each split of the data set's own; `none`: of no split beside others."""
    counts = Counter(record.split for record in records.images)
    named = {split: counts[split] for split in SPLITS if counts[split]}
    return named | ({"none": counts[None]} if named and counts[None] else {})


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
    boxes = Objects.joined(record.objects for record in records.images).boxes_G4
    if not len(boxes):
        return {}
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return {f"p{share}": round(float(np.percentile(sides, share)), 1) for share in (0, 10, 50, 90, 100)}
