"""What is odd about a data set as a whole: its classes, its splits, its sizes beside the network's."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.checks.alike_findings import EVERYTHING
from pipeline.data.parsing.findings import Finding
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.evaluation.detection_limit import LIMIT, UNLIMITED, ceiling, crowded
from yolox_core.structures import FloatArray

FEW = 20  # objects of a class
IMBALANCE = 100  # times
FINEST_STRIDE = 8  # px of the network's input
SEEN_PX = 4.0  # square root of a box's area at the input: half the finest stride
SEEN_SHARE = 0.99  # of the objects that the recommended size is to see
LARGEST_INPUT = 1920
POINTS_A_CELL = 9 + 4 + 4  # at strides 8, 16, 32 within the default centre radius of a point, at the least


def check_classes(records: DatasetRecords) -> list[Finding]:
    """Names, ids, and how many objects each class has, in each split that there is."""
    findings = _ids(records) + _alike(records.class_names)
    everywhere = _objects(records.images)
    unused = [name for label, name in enumerate(records.class_names) if not everywhere[label]]
    if unused:
        what = f"no object is of {len(unused)} of {len(records.class_names)} classes: {_some(unused)}"
        findings.append(Finding("class-unused", "classes", what, "kept"))
    for label, name in enumerate(records.class_names):
        count = everywhere[label]
        if 0 < count < FEW:
            findings.append(Finding("few-objects", f"class {name}", f"{count} objects, {FEW} are few", "kept"))
    findings += _imbalance(records.class_names, everywhere)
    crowds = sum(int(record.objects.ignore_G.sum()) for record in records.images)
    if crowds:
        findings.append(
            Finding("crowd", EVERYTHING, f"{crowds} regions of many objects", "neither object nor background")
        )
    splits = sorted({record.split for record in records.images if record.split})
    for split in splits if len(splits) > 1 else []:
        here = _objects([record for record in records.images if record.split == split])
        absent = [name for label, name in enumerate(records.class_names) if everywhere[label] and not here[label]]
        if absent:
            what = f"no object of {_some(absent)}"
            findings.append(Finding("class-not-in-split", f"split {split}", what, "kept"))
    return findings


def check_sizes(records: DatasetRecords, input_size: int) -> list[Finding]:
    """Objects that a network of `input_size` px (square) hardly sees, and places too crowded for its points."""
    findings: list[Finding] = []
    sides = [np.zeros(0)]
    for record in records.images:
        if not len(record.objects) or not record.height or not record.width:
            continue
        scale = input_size / max(record.height, record.width)
        boxes_G4 = record.objects.without_crowds.boxes_G4 * scale
        sides.append(_sides(boxes_G4) / input_size)  # per px of input
        most = _most_in_a_cell(boxes_G4)
        if most > POINTS_A_CELL:
            what = f"{most} objects have their centres in one cell of {FINEST_STRIDE} px at {input_size} px"
            where, mine = record.annotation or record.file_name, (record.file_name,)
            findings.append(Finding("too-crowded", where, what, "some cannot be found", mine))
    share_N = np.concatenate(sides)
    small = int((share_N * input_size < SEEN_PX).sum())
    if small and _needed(share_N) > input_size:
        what = f"{small} of {len(share_N)} objects are smaller than {SEEN_PX:g} px at {input_size} px"
        findings.append(Finding("too-small-for-input", EVERYTHING, f"{what}; {_advice(share_N)}", "kept"))
    return findings


def check_limit(records: DatasetRecords) -> list[Finding]:
    """Images with so many objects of a class that COCO's map does not count them all."""
    beyond = crowded(records.images)
    if not beyond:
        return []
    what = (
        f"{len(beyond)} of {len(records.images)} images have more than {LIMIT} objects of a class, and COCO counts "
        f"{LIMIT} detections of it: a perfect detector reaches a map of {ceiling(records.images):.3f}"
    )
    mine = tuple(image.file_name for image in beyond)
    return [Finding("beyond-coco-limit", EVERYTHING, what, f"{UNLIMITED} decides instead", mine)]


def _needed(share_N: npt.NDArray[np.floating[Any]]) -> int:
    """The input size that sees nearly all; `share_N` are sides in shares of it."""
    smallest = float(np.quantile(share_N, 1 - SEEN_SHARE, method="lower"))
    return int(np.ceil(SEEN_PX / max(smallest, 1e-9) / 32) * 32)


def _advice(share_N: npt.NDArray[np.floating[Any]]) -> str:
    needed = _needed(share_N)
    if needed > LARGEST_INPUT:
        return (
            f"no input size up to {LARGEST_INPUT} px shows {SEEN_SHARE:.0%} of them so large: cut the images in tiles"
        )
    return f"{needed} px shows {SEEN_SHARE:.0%} of them so large"


def _sides(boxes_G4: FloatArray) -> FloatArray:
    sides: FloatArray = np.sqrt((boxes_G4[:, 2:] - boxes_G4[:, :2]).clip(min=0).prod(axis=1))
    return sides


def _most_in_a_cell(boxes_G4: FloatArray) -> int:
    cells = np.floor((boxes_G4[:, :2] + boxes_G4[:, 2:]) / 2 / FINEST_STRIDE).astype(np.int64)
    return max(Counter(map(tuple, cells.tolist())).values(), default=0)


def _objects(images: Sequence[ImageRecord]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for record in images:
        counts.update(record.objects.without_crowds.labels_G.tolist())
    return counts


def _ids(records: DatasetRecords) -> list[Finding]:
    ids = sorted(records.category_ids)
    if not ids or ids == list(range(ids[0], ids[0] + len(ids))):
        return []
    what = f"{len(ids)} classes have ids from {ids[0]} to {ids[-1]}"
    return [Finding("category-id-gaps", EVERYTHING, what, "ids kept")]


def _alike(names: Sequence[str]) -> list[Finding]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[re.sub(r"[\W_]+", "", name).casefold() or name].append(name)
    return [
        Finding(
            "class-names-alike", "classes", f"{', '.join(map(repr, group))} differ in case or signs alone", "kept apart"
        )
        for group in groups.values()
        if len(group) > 1
    ]


def _imbalance(names: Sequence[str], counts: Counter[int]) -> list[Finding]:
    present = [label for label in range(len(names)) if counts[label]]
    if not present:
        return []
    most, least = max(present, key=counts.__getitem__), min(present, key=counts.__getitem__)
    if counts[most] < IMBALANCE * counts[least]:
        return []
    what = f"{counts[most]} objects of {names[most]}, {counts[least]} of {names[least]}"
    return [Finding("imbalance", "classes", what, "kept")]


def _some(names: Sequence[str]) -> str:
    rest = len(names) - 5
    return ", ".join(names[:5]) + (f" and {rest} more" if rest > 0 else "")
