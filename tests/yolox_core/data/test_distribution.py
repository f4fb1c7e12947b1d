"""Where mosaic and mixup put objects, and how large: the distribution of a direct implementation, drawn apart.

The twins follow the recipe's own words (YOLOX.md 5; yolox/data/data_augment.py and mosaicdetection.py at 6ddff48):
a canvas of twice the input, one affine map of all of it. They share no code and no random numbers with ours, so
samples can only be compared as distributions, by Kolmogorov and Smirnov's distance.
"""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from yolox_core.config import AugmentConfig
from yolox_core.data.augment import Tile, mixup, mosaic
from yolox_core.structures import FloatArray, Objects

SIZE = (64, 96)  # (height, width) of the input
TILES = ((64, 80), (40, 96), (64, 64), (24, 96))  # fitted images
BOX = (0.2, 0.3, 0.7, 0.6)  # in each, as shares of it: x1, y1, x2, y2
SAMPLES = 6000
# A distance beyond this has a chance of 1 in 10,000 where the distributions are the same
LARGEST = math.sqrt(-math.log(1e-4 / 2) / 2) * math.sqrt(2 / SAMPLES)
RECIPE = AugmentConfig(mosaic_scale=(0.1, 2.0), mixup_scale=(0.5, 1.5), min_visibility=0.0, min_box_px=0.0)
Box = tuple[float, float, float, float]


def box_in(tile: tuple[int, int]) -> Box:
    height, width = tile
    return BOX[0] * width, BOX[1] * height, BOX[2] * width, BOX[3] * height


def tile_of(tile: tuple[int, int]) -> Tile:
    boxes = np.array([box_in(tile)], np.float32)
    return Tile.of(np.zeros((*tile, 3), np.uint8), Objects(boxes, np.zeros(1, np.int64), np.zeros(1, np.bool_)))


def slow_mosaic(config: AugmentConfig, rng: random.Random) -> list[Box]:
    """Four images pasted on a canvas, all of it turned, zoomed, sheared and shifted; boxes cut twice."""
    height, width = SIZE
    middle_y, middle_x = int(rng.uniform(0.5 * height, 1.5 * height)), int(rng.uniform(0.5 * width, 1.5 * width))
    angle, zoom = math.radians(rng.uniform(-config.degrees, config.degrees)), rng.uniform(*config.mosaic_scale)
    shear_x, shear_y = (math.tan(math.radians(rng.uniform(-config.shear, config.shear))) for _ in range(2))
    shift_x, shift_y = (rng.uniform(-config.translate, config.translate) * side for side in (width, height))
    found = []
    for quarter, tile in enumerate(TILES):
        left = middle_x - tile[1] if quarter in (0, 2) else middle_x
        top = middle_y - tile[0] if quarter in (0, 1) else middle_y
        x1, y1, x2, y2 = box_in(tile)
        x1, x2 = (min(max(x + left, 0), 2 * width) for x in (x1, x2))
        y1, y2 = (min(max(y + top, 0), 2 * height) for y in (y1, y2))
        if x1 >= x2 or y1 >= y2:
            continue
        xs, ys = [], []
        for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2)):
            turned_x = zoom * (math.cos(angle) * x + math.sin(angle) * y)
            turned_y = zoom * (-math.sin(angle) * x + math.cos(angle) * y)
            xs.append(turned_x + shear_y * turned_y + shift_x)
            ys.append(turned_y + shear_x * turned_x + shift_y)
        xs, ys = ([min(max(value, 0), side) for value in values] for values, side in ((xs, width), (ys, height)))
        if min(xs) < max(xs) and min(ys) < max(ys):
            found.append((min(xs), min(ys), max(xs), max(ys)))
    return found


def slow_mixup(config: AugmentConfig, rng: random.Random) -> list[Box]:
    """The box of an image that was letterboxed, zoomed, mirrored half the time, padded to the input and cut from it."""
    zoom = rng.uniform(*config.mixup_scale)
    height, width = int(SIZE[0] * zoom), int(SIZE[1] * zoom)
    x1, y1, x2, y2 = (side * zoom for side in box_in(TILES[0]))
    if rng.random() > 0.5:
        x1, x2 = width - x2, width - x1
    x = rng.randint(0, width - SIZE[1] - 1) if width > SIZE[1] else 0
    y = rng.randint(0, height - SIZE[0] - 1) if height > SIZE[0] else 0
    x1, x2 = (min(max(value - x, 0), SIZE[1]) for value in (x1, x2))
    y1, y2 = (min(max(value - y, 0), SIZE[0]) for value in (y1, y2))
    return [(x1, y1, x2, y2)] if x1 < x2 and y1 < y2 else []


def our_mosaic(config: AugmentConfig, rng: np.random.Generator) -> list[Box]:
    _, objects = mosaic([tile_of(tile) for tile in TILES], SIZE, config, rng)
    return [tuple(box) for box in objects.boxes_G4.tolist()]


def our_mixup(config: AugmentConfig, rng: np.random.Generator) -> list[Box]:
    nothing = Objects()
    _, objects = mixup(np.zeros((*SIZE, 3), np.uint8), nothing, tile_of(TILES[0]), config, rng)
    return [tuple(box) for box in objects.boxes_G4.tolist()]


def overlap(boxes: list[Box]) -> float:
    """The largest IoU of two boxes of a sample."""
    best = 0.0
    for place, (a1, b1, a2, b2) in enumerate(boxes):
        for c1, d1, c2, d2 in boxes[:place]:
            shared = max(0.0, min(a2, c2) - max(a1, c1)) * max(0.0, min(b2, d2) - max(b1, d1))
            best = max(best, shared / ((a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared))
    return best


def statistics(draw: Callable[[], list[Box]]) -> dict[str, FloatArray]:
    """One independent number a sample: how many objects are left, their overlap, and place and size of the first."""
    rows = []
    for _ in range(SAMPLES):
        boxes = draw()
        x1, y1, x2, y2 = boxes[0] if boxes else (-1.0, -1.0, -1.0, -1.0)
        rows.append((len(boxes), overlap(boxes), x1 + x2, y1 + y2, x2 - x1, y2 - y1))
    columns = np.array(rows, np.float32).round(2).T
    return dict(zip(("count", "overlap", "x", "y", "width", "height"), columns, strict=True))


def distance(first: FloatArray, second: FloatArray) -> float:
    """The largest difference of two cumulative distributions."""
    at = np.concatenate((first, second))
    shares = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.parametrize("kind", ["mosaic", "mixup"])
def test_objects_are_distributed_as_by_the_recipe(kind: str) -> None:
    theirs, ours = {"mosaic": (slow_mosaic, our_mosaic), "mixup": (slow_mixup, our_mixup)}[kind]
    plain, generator = random.Random(1), np.random.default_rng(2)
    expected, got = statistics(lambda: theirs(RECIPE, plain)), statistics(lambda: ours(RECIPE, generator))
    distances = {name: distance(expected[name], got[name]) for name in expected}
    assert all(value < LARGEST for value in distances.values()), distances


@pytest.mark.parametrize("other", [{"mosaic_scale": (0.2, 2.0)}, {"translate": 0.25}])
def test_another_recipe_is_told_apart(other: dict[str, Any]) -> None:
    plain, generator = random.Random(1), np.random.default_rng(2)
    changed = replace(RECIPE, **other)
    expected = statistics(lambda: slow_mosaic(RECIPE, plain))
    got = statistics(lambda: our_mosaic(changed, generator))
    assert max(distance(expected[name], got[name]) for name in expected) > LARGEST
