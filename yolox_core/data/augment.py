"""The recipe's four variations of a training image, as pure functions of images, objects and a generator.

Figures follow Megvii-BaseDetection/YOLOX yolox/data at 6ddff48 (mosaic: YOLOv4, arXiv 2004.10934; mixup: arXiv
1710.09412). The reference fills a canvas of twice the input and warps that; here each tile is warped once, straight
to its place in the output, which shows only a part of that canvas.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from yolox_core.config import AugmentConfig
from yolox_core.data.geometry import (
    Matrix,
    Size,
    after_offset,
    blank,
    cut_boxes,
    keep_visible,
    map_boxes,
    padded,
    random_affine,
    resized,
)
from yolox_core.structures import FloatArray, ImageArray, Objects

HSV_GAINS = (5, 30, 30)  # largest change of hue (in OpenCV's 180 steps), saturation and value; data_augment.py
HUE_STEPS = 180  # OpenCV's 8-bit hue


@dataclass(frozen=True)
class Tile:
    """An image fitted into the input, not padded, with its objects in its own pixels."""

    size: Size
    objects: Objects
    load: Callable[[], ImageArray]  # not called for a tile of which nothing can be seen

    @classmethod
    def of(cls, image: ImageArray, objects: Objects) -> "Tile":
        """A tile whose image is here already."""
        return cls((image.shape[0], image.shape[1]), objects, lambda: image)


@dataclass(frozen=True)
class Place:
    """Which part of a tile lies where on the mosaic canvas; px."""

    cut: tuple[int, int, int, int]  # x1, y1, x2, y2 in the tile: what the canvas border leaves of it
    x: int  # canvas position of the tile's origin, negative where the canvas cuts it
    y: int


def place(quarter: int, center: tuple[int, int], tile: Size, size: Size) -> Place:
    """Tiles meet with a corner at `center` (y, x); quarters go top left, top right, bottom left, bottom right."""
    x = center[1] - tile[1] if quarter % 2 == 0 else center[1]
    y = center[0] - tile[0] if quarter < 2 else center[0]
    cut = (max(0, -x), max(0, -y), min(tile[1], 2 * size[1] - x), min(tile[0], 2 * size[0] - y))
    return Place(cut, x, y)


def random_center(size: Size, rng: np.random.Generator) -> tuple[int, int]:
    """Where the four tiles meet, (y, x): in the middle half of a canvas of twice the input."""
    return int(rng.uniform(0.5 * size[0], 1.5 * size[0])), int(rng.uniform(0.5 * size[1], 1.5 * size[1]))


def mosaic(
    tiles: Sequence[Tile], size: Size, config: AugmentConfig, rng: np.random.Generator
) -> tuple[ImageArray, Objects]:
    """Four tiles around a random centre, rotated, zoomed, sheared and shifted together, at `size`."""
    center = random_center(size, rng)
    matrix = random_affine(config, size, rng)
    return compose(tiles, size, center, matrix, config)


def compose(
    tiles: Sequence[Tile], size: Size, center: tuple[int, int], matrix: Matrix, config: AugmentConfig
) -> tuple[ImageArray, Objects]:
    """The mosaic of a given centre and canvas-to-output matrix."""
    output = blank(size)
    moved, shares = [], []
    for quarter, tile in enumerate(tiles):
        where = place(quarter, center, tile.size, size)
        to_output = after_offset(matrix, where.x, where.y)
        _draw(output, tile, quarter, where.cut, to_output)
        boxes_G4, share_G = cut_boxes(tile.objects.boxes_G4, where.cut)
        moved.append(tile.objects.moved(map_boxes(boxes_G4, to_output)))
        shares.append(share_G)
    share: FloatArray = np.concatenate(shares)
    return output, keep_visible(Objects.joined(moved), size, config, share)


def _draw(output: ImageArray, tile: Tile, quarter: int, cut: tuple[int, int, int, int], to_output: Matrix) -> None:
    """Warp what the canvas leaves of a tile to its place, touching only that place's bounding rectangle."""
    x1, y1, x2, y2 = cut
    # Interpolation needs neighbours on both sides: a left tile lends the one on its right, and an upper tile the
    # one below it, a copy of its last pixels. Otherwise a grey line would run along the seams.
    below, beside = int(quarter < 2), int(quarter % 2 == 0)
    hull = map_boxes(np.array([[x1, y1, x2 + beside, y2 + below]], np.float32), to_output)[0]
    left, top = max(0, int(np.floor(hull[0]))), max(0, int(np.floor(hull[1])))
    right = min(output.shape[1], int(np.ceil(hull[2])) + 1)
    bottom = min(output.shape[0], int(np.ceil(hull[3])) + 1)
    if left >= right or top >= bottom:
        return  # out of sight: two of five, with the reference's zoom of 0.1 to 2
    part = cv2.copyMakeBorder(tile.load()[y1:y2, x1:x2], 0, below, 0, beside, cv2.BORDER_REPLICATE)
    cv2.warpAffine(
        part,
        after_offset(to_output, x1, y1) - np.array([[0, 0, left], [0, 0, top]]),
        (right - left, bottom - top),
        dst=output[top:bottom, left:right],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def mixup(
    image: ImageArray, objects: Objects, other: Tile, config: AugmentConfig, rng: np.random.Generator
) -> tuple[ImageArray, Objects]:
    """Half `image`, half `other`: letterboxed, zoomed by `mixup_scale`, mirrored half the time, cut at random.

    An `other` without objects is fine. Where it is smaller than `image`, it is black, as in the reference.
    """
    size = (image.shape[0], image.shape[1])
    zoom = rng.uniform(*config.mixup_scale)
    layer = resized(padded(other.load(), size), (max(1, int(size[0] * zoom)), max(1, int(size[1] * zoom))))
    # A box must stay within its own image before the layer is cut, or it would reach into the padding.
    inside_G4, share_G = cut_boxes(other.objects.boxes_G4, (0, 0, other.size[1], other.size[0]))
    boxes_G4 = inside_G4 * np.float32(zoom)
    mirror = rng.random() < 0.5
    y = int(rng.integers(0, max(1, layer.shape[0] - size[0])))
    x = int(rng.integers(0, max(1, layer.shape[1] - size[1])))
    if mirror:  # what is seen is cut out first: less to turn
        boxes_G4 = boxes_mirrored(boxes_G4, layer.shape[1])
        end = layer.shape[1] - x
        layer = np.asarray(cv2.flip(layer[y : y + size[0], max(0, end - size[1]) : end], 1), np.uint8)
    else:
        layer = layer[y : y + size[0], x : x + size[1]]
    if layer.shape != image.shape:
        below, beside = size[0] - layer.shape[0], size[1] - layer.shape[1]
        layer = np.asarray(cv2.copyMakeBorder(layer, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0,)), np.uint8)
    boxes_G4 = boxes_G4 - np.array((x, y, x, y), np.float32)
    blended = np.asarray(cv2.addWeighted(image, 0.5, layer, 0.5, 0.0), dtype=np.uint8)
    return blended, Objects.joined((objects, keep_visible(other.objects.moved(boxes_G4), size, config, share_G)))


def shift_hsv(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Add up to `HSV_GAINS` to hue, saturation and value, each with probability one half."""
    drawn = rng.uniform(-1, 1, 3) * HSV_GAINS * rng.integers(0, 2, 3)
    hue, saturation, value = (int(gain) for gain in drawn)  # towards 0, as the reference
    if not (hue or saturation or value):
        return image
    levels = np.arange(256)
    tables = ((levels + hue) % HUE_STEPS, (levels + saturation).clip(0, 255), (levels + value).clip(0, 255))
    planes = list(cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV)))  # a table a plane is faster than one for all three
    for channel, gain in enumerate((hue, saturation, value)):
        if gain:
            planes[channel] = cv2.LUT(planes[channel], tables[channel].astype(np.uint8))
    return np.asarray(cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2BGR), dtype=np.uint8)


def boxes_mirrored(boxes_G4: FloatArray, width: int) -> FloatArray:
    """Boxes in an image of `width` px whose left and right are exchanged."""
    side = np.float32(width)
    return np.stack((side - boxes_G4[:, 2], boxes_G4[:, 1], side - boxes_G4[:, 0], boxes_G4[:, 3]), axis=1)


def flip(
    image: ImageArray, objects: Objects, probability: float, rng: np.random.Generator
) -> tuple[ImageArray, Objects]:
    """CheckpointSync with the given probability."""
    if rng.random() >= probability:
        return image, objects
    flipped = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
    return flipped, objects.moved(boxes_mirrored(objects.boxes_G4, image.shape[1]))
