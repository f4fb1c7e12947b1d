"""What the data set holds, split by split: images, objects, how large the network sees them, and their classes."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.parsing.split_names import SPLITS
from pipeline.reports.plots import Series
from yolox_core.data.records import DatasetRecords

Splits = Mapping[str, DatasetRecords]  # train, val, test
EDGES_PX = tuple(2.0 ** (step / 2) for step in range(2, 23))  # 2 to 2048 px, two bins an octave


@dataclass(frozen=True)
class SplitRow:
    """One split as a row of the table."""

    name: str
    images: int
    empty: int  # images without objects
    objects: int
    median: float  # objects an image
    most: int


def split_table(splits: Splits) -> list[SplitRow]:
    """A row for each split that has images; crowds are not counted."""
    rows = []
    for name in SPLITS:
        counts = [int((~image.objects.ignore_G).sum()) for image in splits[name].images]
        if counts:
            rows.append(
                SplitRow(name, len(counts), counts.count(0), sum(counts), statistics.median(counts), max(counts))
            )
    return rows


def class_table(splits: Splits) -> list[tuple[str, list[int]]]:
    """(class, objects in each split that has images), those with most objects first."""
    used = [row.name for row in split_table(splits)]
    counts = {
        name: Counter(int(label) for image in splits[name].images for label in image.objects.without_crowds.labels_G)
        for name in used
    }
    names = splits["train"].class_names
    rows = [(name, [counts[split][label] for split in used]) for label, name in enumerate(names)]
    return sorted(rows, key=lambda row: -sum(row[1]))


def sizes_px(records: DatasetRecords, input_size: tuple[int, int]) -> list[float]:
    """The square root of every object's area, in pixels of the network's input (height, width)."""
    sides: list[float] = []
    for image in records.images:
        scale = min(input_size[0] / image.height, input_size[1] / image.width)
        boxes_G4 = image.objects.without_crowds.boxes_G4
        sides += (np.sqrt((boxes_G4[:, 2:] - boxes_G4[:, :2]).prod(axis=1)) * scale).tolist()
    return sides


def size_shares(splits: Splits, input_size: tuple[int, int]) -> Series:
    """A split's share of objects in each bin of EDGES_PX, as (lower edge, share), between the outermost used."""
    return shares({name: sizes_px(splits[name], input_size) for name in SPLITS}, EDGES_PX)


def shares(values: Mapping[str, Sequence[float]], edges: Sequence[float]) -> Series:
    """The share of each name's values in each bin, as (lower edge, share), between the outermost used."""
    counts = {name: np.histogram(numbers, edges)[0] for name, numbers in values.items()}
    used = np.flatnonzero(sum(counts.values()))
    if not len(used):
        return {}
    bins = range(int(used[0]), int(used[-1]) + 1)
    return {
        name: [(edges[at], int(count[at]) / int(count.sum())) for at in bins]
        for name, count in counts.items()
        if count.sum()
    }
