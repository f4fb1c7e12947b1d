"""The mosaic against a slow, obvious twin that fills the whole canvas; mixup, HSV and flip against their definition."""

import cv2
import numpy as np
import pytest

from tests.yolox_core.data.conftest import smooth_image
from yolox_core.config import PAD_VALUE, AugmentConfig
from yolox_core.data.augment import Tile, compose, flip, mixup, mosaic, random_center, shift_hsv
from yolox_core.data.geometry import Matrix, random_affine
from yolox_core.structures import BoolArray, FloatArray, ImageArray, Objects

CONFIG = AugmentConfig()
EVERY_BOX = AugmentConfig(min_visibility=0.0, min_box_px=0.0)


def objects_of(boxes: list[list[float]]) -> Objects:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Objects(array, np.arange(len(array)), np.zeros(len(array), np.bool_))


def tiles_for(size: tuple[int, int], seed: int, boxes: int = 3) -> list[Tile]:
    """Four tiles, two as wide as `size` and two as high, with random boxes inside."""
    rng = np.random.default_rng(seed)
    tiles = []
    for quarter in range(4):
        height, width = (size[0], size[1] * 2 // 3) if quarter % 2 else (size[0] * 3 // 4, size[1])
        low = rng.uniform(0, 0.7, (boxes, 2)) * (width, height)
        high = low + rng.uniform(0.05, 0.3, (boxes, 2)) * (width, height)
        tiles.append(
            Tile.of(smooth_image(height, width, seed * 4 + quarter), objects_of(np.hstack((low, high)).tolist()))
        )
    return tiles


def slow_place(quarter: int, center: tuple[int, int], tile: Tile) -> tuple[int, int]:
    """Top and left of a tile on the canvas."""
    height, width = tile.load().shape[:2]
    return center[0] - (height if quarter in (0, 1) else 0), center[1] - (width if quarter in (0, 2) else 0)


def slow_canvas(tiles: list[Tile], size: tuple[int, int], center: tuple[int, int]) -> ImageArray:
    """A canvas of twice the size, painted row by row."""
    height, width = 2 * size[0], 2 * size[1]
    canvas = np.full((height, width, 3), PAD_VALUE, np.uint8)
    for quarter, tile in enumerate(tiles):
        top, left = slow_place(quarter, center, tile)
        tall, wide = tile.load().shape[:2]
        for row in range(tall):
            if 0 <= top + row < height:
                first, last = max(0, -left), min(wide, width - left)
                canvas[top + row, left + first : left + last] = tile.load()[row, first:last]
    return canvas


def slow_boxes(tiles: list[Tile], size: tuple[int, int], center: tuple[int, int], matrix: Matrix) -> FloatArray:
    """Every box cut at the canvas, its corners moved, their hull cut at the output; those left with an area."""
    found = []
    for quarter, tile in enumerate(tiles):
        top, left = slow_place(quarter, center, tile)
        for x1, y1, x2, y2 in tile.objects.boxes_G4.astype(np.float64):
            xs = [min(max(x + left, 0), 2 * size[1]) for x in (x1, x2)]
            ys = [min(max(y + top, 0), 2 * size[0]) for y in (y1, y2)]
            if xs[0] >= xs[1] or ys[0] >= ys[1]:
                continue
            corners = [matrix @ (x, y, 1) for x in xs for y in ys]
            xs = [min(max(corner[0], 0), size[1]) for corner in corners]
            ys = [min(max(corner[1], 0), size[0]) for corner in corners]
            if min(xs) < max(xs) and min(ys) < max(ys):
                found.append((min(xs), min(ys), max(xs), max(ys)))
    return np.array(found, np.float32).reshape(-1, 4)


def slow_warp(canvas: ImageArray, size: tuple[int, int], matrix: Matrix) -> ImageArray:
    return np.asarray(cv2.warpAffine(canvas, matrix, (size[1], size[0]), borderValue=(PAD_VALUE,) * 3), np.uint8)


def near_edges(tiles: list[Tile], size: tuple[int, int], center: tuple[int, int], matrix: Matrix) -> BoolArray:
    """Where within 2 px of canvas a tile ends: the twin blends neighbours there, the mosaic draws one over another."""
    plain = [
        Tile.of(np.full_like(tile.load(), 10 + 60 * quarter), objects_of([])) for quarter, tile in enumerate(tiles)
    ]
    owner = cv2.copyMakeBorder(slow_canvas(plain, size, center), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255,) * 3)
    edges = cv2.morphologyEx(owner, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))[2:-2, 2:-2]
    edges = np.where(edges > 0, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.warpAffine(edges, matrix, (size[1], size[0])).max(axis=2) > 0)


@pytest.mark.parametrize("seed", range(12))
def test_mosaic_agrees_with_the_whole_canvas(seed: int) -> None:
    size = (128, 160)
    rng = np.random.default_rng(seed)
    tiles, center = tiles_for(size, seed), random_center(size, rng)
    matrix = random_affine(CONFIG, size, rng)
    expected = slow_warp(slow_canvas(tiles, size, center), size, matrix)
    image, objects = compose(tiles, size, center, matrix, EVERY_BOX)
    np.testing.assert_allclose(
        objects.boxes_G4, slow_boxes(tiles, size, center, matrix), atol=1e-3
    )  # px; float32 against float64
    difference = np.abs(image.astype(int) - expected).max(axis=2)
    edges = near_edges(tiles, size, center, matrix)
    assert difference[~edges].max() <= 1
    assert edges.mean() < 0.25
    assert difference.mean() < 3


def test_mosaic_without_any_movement_is_the_canvas_itself() -> None:
    size, center, still = (64, 64), (64, 64), np.array([[1.0, 0, -32], [0, 1.0, -32]])
    boxes = objects_of([[3, 4, 50, 60], [0, 0, 20, 20], [40, 40, 64, 64]])
    tiles = [Tile.of(smooth_image(64, 64, seed), boxes) for seed in range(4)]
    image, objects = compose(tiles, size, center, still, EVERY_BOX)
    np.testing.assert_array_equal(image, slow_canvas(tiles, size, center)[32:96, 32:96])
    np.testing.assert_array_equal(objects.boxes_G4, slow_boxes(tiles, size, center, still))


def test_tiles_meet_without_a_grey_line() -> None:
    size = (96, 96)
    white = [Tile.of(np.full((96, 96, 3), 255, np.uint8), objects_of([])) for _ in range(4)]
    turned = cv2.getRotationMatrix2D((96, 96), 9, 0.9) - np.array([[0, 0, 48], [0, 0, 48]])
    image, objects = compose(white, size, (96, 96), turned, CONFIG)
    assert (image == 255).all()
    assert len(objects) == 0


def test_mosaic_leaves_its_tiles_alone() -> None:
    tiles = tiles_for((64, 64), 0)
    before = [(tile.load().copy(), tile.objects.boxes_G4.copy()) for tile in tiles]
    mosaic(tiles, (64, 64), CONFIG, np.random.default_rng(0))
    for tile, (image, boxes) in zip(tiles, before, strict=True):
        np.testing.assert_array_equal(tile.load(), image)
        np.testing.assert_array_equal(tile.objects.boxes_G4, boxes)


def test_mosaic_drops_a_box_that_the_canvas_border_cut_away() -> None:
    # The tile starts 32 px left of the canvas: the first box lies there, of the second one tenth is left.
    tile = Tile.of(np.full((64, 64, 3), 9, np.uint8), objects_of([[0, 10, 20, 30], [14, 10, 34, 30], [40, 40, 60, 60]]))
    none = Tile.of(tile.load(), objects_of([]))
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    _, kept = compose([tile, none, none, none], (64, 64), (64, 32), identity, AugmentConfig(min_visibility=0.11))
    np.testing.assert_array_equal(kept.labels_G, [2])
    _, kept = compose([tile, none, none, none], (64, 64), (64, 32), identity, AugmentConfig(min_visibility=0.09))
    np.testing.assert_array_equal(kept.labels_G, [1, 2])


@pytest.mark.parametrize("scale", [(0.5, 0.5), (1.0, 1.0), (1.5, 1.5)])
def test_mixup_box_frames_what_it_framed_before(scale: tuple[float, float]) -> None:
    black = np.zeros((100, 100, 3), np.uint8)
    other = black[:80].copy()
    other[20:40, 30:60] = 200
    config = AugmentConfig(mixup_scale=scale, min_visibility=0.99)
    seen = 0
    for seed in range(20):
        tile = Tile.of(other, objects_of([[30, 20, 60, 40]]))
        image, objects = mixup(black, objects_of([[1, 1, 9, 9]]), tile, config, np.random.default_rng(seed))
        np.testing.assert_array_equal(objects.boxes_G4[0], [1, 1, 9, 9])
        for x1, y1, x2, y2 in objects.boxes_G4[1:]:
            seen += 1
            bright = np.argwhere(image[..., 0] > 80)
            np.testing.assert_allclose([x1, y1], bright.min(axis=0)[::-1], atol=1)
            np.testing.assert_allclose([x2, y2], bright.max(axis=0)[::-1] + 1, atol=1)
    assert seen > 5


def test_mixup_with_an_image_without_objects() -> None:
    image = smooth_image(64, 64, 0)
    blended, objects = mixup(image, objects_of([]), Tile.of(image, objects_of([])), CONFIG, np.random.default_rng(0))
    assert blended.shape == image.shape and len(objects) == 0


def test_hsv_is_the_sum_of_hue_saturation_and_value() -> None:
    image = smooth_image(40, 40, 1)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gains = (rng.uniform(-1, 1, 3) * (5, 30, 30) * rng.integers(0, 2, 3)).astype(int)
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(int) + gains
        hsv[..., 0] %= 180
        expected = cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR) if gains.any() else image
        np.testing.assert_array_equal(shift_hsv(image, np.random.default_rng(seed)), expected)


def test_flip_mirrors_boxes_and_pixels() -> None:
    image = smooth_image(30, 50, 2)
    rng = np.random.default_rng(0)
    flipped, objects = flip(image, objects_of([[1, 2, 11, 12]]), 1.0, rng)
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    np.testing.assert_array_equal(objects.boxes_G4, [[39, 2, 49, 12]])
    same, objects = flip(image, objects_of([[1, 2, 11, 12]]), 0.0, rng)
    assert same is image
    np.testing.assert_array_equal(objects.boxes_G4, [[1, 2, 11, 12]])
