"""The data card: what objects look like and where they lie, which classes meet, what was found wrong, what was changed.

Objects of all splits count; crowds do not.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np

from pipeline.data.checks.catalog import CATALOG, SEVERITIES, Check
from pipeline.data.parsing.split_names import SPLITS
from pipeline.reports.error_tables import Cell
from pipeline.reports.example_images import jpeg
from pipeline.reports.plots import Series
from pipeline.reports.split_tables import Splits, shares
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords
from yolox_core.inference.visualize import draw_boxes
from yolox_core.structures import ImageArray

ASPECTS = tuple(2.0 ** (step / 2) for step in range(-8, 9))  # 1/16 to 16, width by height, two bins an octave
CELLS = 12  # each way, of the image
MOST_CLASSES = 20  # shown of one kind
QUANTILES = (0.1, 0.5, 0.9)  # of the objects' areas: an example of a class each
EXAMPLE_PX = 150  # longer side of an example
AROUND = 0.4  # of an object's longer side, shown on each side of it


@dataclass(frozen=True)
class Example:
    """One object, cut out with what lies around it."""

    text: str
    jpeg: str  # base64


@dataclass(frozen=True)
class Found:
    """One kind of finding."""

    code: str
    check: Check
    times: int
    done: str  # what was done about it


def aspect_shares(splits: Splits) -> Series:
    """A split's share of objects in each bin of ASPECTS, as (lower edge, share)."""
    aspects = {name: [float(width / height) for _, _, width, height in _objects(splits[name])] for name in SPLITS}
    lowest, highest = ASPECTS[0], ASPECTS[-1] * 0.999
    return shares({name: np.clip(values, lowest, highest).tolist() for name, values in aspects.items()}, ASPECTS)


def centers(splits: Splits) -> list[list[float]]:
    """Objects by the place of their center in the image: rows from the top, shares of the fullest cell."""
    counts = np.zeros((CELLS, CELLS))
    for name in SPLITS:
        for image in splits[name].images:
            boxes_G4 = image.objects.without_crowds.boxes_G4
            xy_G2 = (boxes_G4[:, :2] + boxes_G4[:, 2:]) / 2 / [image.width, image.height]
            cells_G2 = np.clip(np.floor(xy_G2 * CELLS), 0, CELLS - 1).astype(np.int64)
            np.add.at(counts, (cells_G2[:, 1], cells_G2[:, 0]), 1)
    found: list[list[float]] = (counts / max(counts.max(), 1)).tolist()
    return found


def meetings(splits: Splits, most: int = MOST_CLASSES) -> list[tuple[str, list[Cell]]]:
    """(class, images that also show each class) of the classes that most images show, in the data set's order."""
    names = splits["train"].class_names
    shown_by = [
        frozenset(image.objects.without_crowds.labels_G.tolist()) for split in SPLITS for image in splits[split].images
    ]
    alone = Counter(label for labels in shown_by for label in labels)
    shown = sorted(sorted(range(len(names)), key=lambda label: -alone[label])[:most])
    both = Counter(pair for labels in shown_by for pair in product(labels & set(shown), repeat=2))
    return [
        (
            names[row],
            [Cell(both[row, column], _percent(both[row, column], alone[row]), row == column) for column in shown],
        )
        for row in shown
    ]


def examples(splits: Splits, most: int = MOST_CLASSES) -> list[tuple[str, list[Example]]]:
    """(class, a small, a middling and a large object) of the classes with most objects, from training."""
    records = splits["train"]
    counts = Counter(int(label) for image in records.images for label in image.objects.without_crowds.labels_G)
    found = []
    for label, _ in sorted(counts.most_common(most)):
        sized = sorted(
            (float((box[2] - box[0]) * (box[3] - box[1])), image.file_name, tuple(box))
            for image in records.images
            for box, its_label, ignore in image.objects.rows()
            if its_label == label and not ignore
        )
        chosen = dict.fromkeys(sized[round(quantile * (len(sized) - 1))] for quantile in QUANTILES)
        found.append((records.class_names[label], [_example(records, label, name, box) for _, name, box in chosen]))
    return found


def findings(validation: Mapping[str, Any]) -> list[Found]:
    """What `validate` found, a row a kind, the worst first."""
    done: dict[str, dict[str, None]] = defaultdict(dict)  # in order, each once
    for entry in validation.get("list", ()):
        if "code" in entry and "action" in entry:
            done[entry["code"]][re.sub(r"\d+ boxes", "boxes", entry["action"])] = None
    rows = [
        Found(code, CATALOG[code], times, "; ".join(done[code]) or "–")
        for code, times in validation.get("findings_by_code", {}).items()
    ]
    return sorted(rows, key=lambda row: (SEVERITIES.index(row.check.severity), -row.times, row.code))


def changes(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `prepare` did besides splitting."""
    told = {
        "left_out": "images left out (copies of held-out ones, background beyond its share)",
        "repeated": "images seen more than once an epoch (rare classes)",
        "similar_across_splits": "groups of similar images on more than one side",
    }
    return [(about, str(len(manifest[key]))) for key, about in told.items() if manifest.get(key)]


def _percent(count: float, of: float) -> int:
    return round(100 * count / max(of, 1))


def _objects(records: DatasetRecords) -> Iterator[tuple[float, float, float, float]]:
    """x, y, width and height of every object."""
    for image in records.images:
        for x1, y1, x2, y2 in image.objects.without_crowds.boxes_G4.tolist():
            yield x1, y1, x2 - x1, y2 - y1


def _example(records: DatasetRecords, label: int, name: str, box: Sequence[float]) -> Example:
    image = read_image(records.image_root / name, records.value_range)
    x1, y1, x2, y2 = box
    margin = AROUND * max(x2 - x1, y2 - y1)
    left, top = max(0, int(x1 - margin)), max(0, int(y1 - margin))
    cut = image[top : int(y2 + margin) + 1, left : int(x2 + margin) + 1]
    scale = EXAMPLE_PX / max(cut.shape[:2])
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    small: ImageArray = np.asarray(
        cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )
    inside = np.array([[x1 - left, y1 - top, x2 - left, y2 - top]], np.float32) * scale
    return Example(f"{x2 - x1:.0f} × {y2 - y1:.0f} px in {name}", jpeg(draw_boxes(small, inside, [label], None)))
