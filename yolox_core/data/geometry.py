"""Where pixels and boxes go: letterbox, the recipe's affine map, and what a cut leaves of a box.

Sizes are (height, width) px; matrices are [2, 3] and map source to output coordinates (x, y). Letterbox, the
distribution of the affine map and boxes through it follow Megvii-BaseDetection/YOLOX yolox/data/data_augment.py at
6ddff48; the visibility rule is ours (docs/deviations.md).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.config import PAD_VALUE, AugmentConfig
from yolox_core.structures import FloatArray, ImageArray, Objects

Size = tuple[int, int]
Matrix = npt.NDArray[np.float64]


def fit_scale(source: Size, size: Size) -> float:
    """Network pixels per source pixel when an image of `source` is fitted into `size`."""
    return min(size[0] / source[0], size[1] / source[1])


def fitted_size(source: Size, size: Size) -> Size:
    """What an image of `source` measures once fitted into `size`: truncated as the reference does, at least 1 px."""
    scale = fit_scale(source, size)
    return max(1, int(source[0] * scale)), max(1, int(source[1] * scale))


def resized(image: ImageArray, size: Size) -> ImageArray:
    """`image` at `size`, bilinear; the image itself where it has that size already."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def blank(size: Size) -> ImageArray:
    """A grey image as letterbox pads with."""
    return np.full((*size, 3), PAD_VALUE, np.uint8)


def padded(image: ImageArray, size: Size) -> ImageArray:
    """`image` in the top left corner of a grey one of `size`, which is at least as large."""
    canvas = blank(size)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def letterbox(image: ImageArray, size: Size) -> tuple[ImageArray, float]:
    """Fit an HWC uint8 image into `size`, aspect kept, top left, padded; with network pixels per source pixel."""
    source = (image.shape[0], image.shape[1])
    return padded(resized(image, fitted_size(source, size)), size), fit_scale(source, size)


def network_input(letterboxed: Sequence[ImageArray]) -> FloatArray:
    """HWC uint8 images of one size -> float32 [B, 3, H, W], as a network takes them."""
    return np.stack([image.transpose(2, 0, 1) for image in letterboxed]).astype(np.float32)


def random_affine(config: AugmentConfig, size: Size, rng: np.random.Generator) -> Matrix:
    """The recipe's map from mosaic canvas to output: rotate and zoom about the origin, shear, then shift."""
    angle = rng.uniform(-config.degrees, config.degrees)
    zoom = rng.uniform(*config.mosaic_scale)
    shear_x, shear_y = np.tan(np.radians(rng.uniform(-config.shear, config.shear, 2)))
    shift = rng.uniform(-config.translate, config.translate, 2) * (size[1], size[0])
    cosine, sine = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    shear = np.array([[1.0, shear_y], [shear_x, 1.0]])
    return np.column_stack((shear @ rotation, shift))


def after_offset(matrix: Matrix, x: float, y: float) -> Matrix:
    """The map that first shifts by (x, y) and then applies `matrix`."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x, y)
    return moved


def map_boxes(boxes_G4: FloatArray, matrix: Matrix) -> FloatArray:
    """The upright hulls of the boxes' four corners after `matrix`."""
    corners_G42 = boxes_G4.astype(np.float64)[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 4, 2)
    mapped_G42 = corners_G42 @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate((mapped_G42.min(axis=1), mapped_G42.max(axis=1)), axis=1).astype(np.float32)


def area(boxes_G4: FloatArray) -> FloatArray:
    """px^2, 0 for a box turned inside out."""
    sides_G2 = np.maximum(boxes_G4[:, 2:] - boxes_G4[:, :2], np.float32(0))
    area_G: FloatArray = sides_G2[:, 0] * sides_G2[:, 1]
    return area_G


def cut_boxes(boxes_G4: FloatArray, frame: tuple[int, int, int, int]) -> tuple[FloatArray, FloatArray]:
    """Boxes cut at `frame` (x1, y1, x2, y2), and the share of each one's area that is left: 0 where it had none."""
    low, high = np.array(frame[:2] * 2, np.float32), np.array(frame[2:] * 2, np.float32)
    cut_G4 = np.clip(boxes_G4, low, high)
    whole_G = area(boxes_G4)
    share_G = np.divide(area(cut_G4), whole_G, out=np.zeros_like(whole_G), where=whole_G > 0)
    return cut_G4, share_G


def keep_visible(objects: Objects, size: Size, config: AugmentConfig, share_G: FloatArray | None = None) -> Objects:
    """Cut boxes at the edges of an image of `size` and drop from this sample what too little is left of.

    The rule: a box goes if its visible share is less than `min_visibility`, if a side is shorter than `min_box_px`,
    or if it has no area. The share is relative to the whole box before any cut: `share_G` is what earlier cuts
    (a mosaic's tile) left, times what this one leaves.
    """
    cut_G4, left_G = cut_boxes(objects.boxes_G4, (0, 0, size[1], size[0]))
    visible_G = left_G if share_G is None else left_G * share_G
    shortest_G = (cut_G4[:, 2:] - cut_G4[:, :2]).min(axis=1, initial=np.inf)
    keep_G = (visible_G > 0) & (visible_G >= config.min_visibility) & (shortest_G >= config.min_box_px)
    return objects.moved(cut_G4)[keep_G]
