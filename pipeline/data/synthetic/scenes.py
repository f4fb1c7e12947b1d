"""The embedded data set: rendered scenes in which only the outline tells what an object is.

Colours, textures, sizes and turns are shared by all classes; objects hide each other by up to 60%; backgrounds are
textured, and light, blur, noise and JPEG act on the whole. An image is a function of (seed, its index) alone, so that
more images never change the first ones. Boxes hold the whole outline, hidden parts too, clipped to the image.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.data.coco.coco import write_coco
from pipeline.data.synthetic import backdrop
from pipeline.data.synthetic.shapes import OUTLINES, outline
from yolox_core.atomic_files import write_bytes
from yolox_core.cpus import cores
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

GENERATOR_VERSION = 3  # raised whenever the same seed would give other images
CLASS_NAMES = tuple(OUTLINES)
MAX_HIDDEN = 0.6  # share of an object that others may cover
MAX_OBJECTS = 20
SIDES_PX = (176, 297)
CROWDED = 0.02  # share of the scenes that hold 8 to 20 objects, as far as they find room
MAX_TURN = np.pi / 6  # to either side; a square on its corner would be a class of its own
CONTRAST = 90.0  # least difference, of 255, between an object and what lies behind it, in some channel
_SHIFT = 4  # OpenCV draws polygons in 1/16 px

Float = npt.NDArray[np.float32]


@dataclass
class _Scene:
    """A picture being painted, float32 [height, width, 3], and who is seen at each of its pixels."""

    canvas: Float
    owner: npt.NDArray[np.int32]  # index of the object seen at a pixel, -1 for the background
    areas: list[int] = field(default_factory=list)  # px of each object's outline in the image
    objects: list[tuple[tuple[float, ...], int, bool]] = field(default_factory=list)  # rows of Objects.of


def render(root: Path, images: int, seed: int) -> DatasetRecords:
    """Write `images` scenes to root/images and their COCO file to root/annotations.json."""

    def one(index: int) -> ImageRecord:
        encoded, record = scene(seed, index)
        write_bytes(root / "images" / record.file_name, encoded)
        return record

    with ThreadPoolExecutor(cores()) as pool:
        records = list(pool.map(one, range(images)))
    categories = tuple(Category(label + 1, name) for label, name in enumerate(CLASS_NAMES))
    rendered = DatasetRecords(root / "images", categories, records)
    write_coco(rendered, root / "annotations.json")
    return rendered


def scene(seed: int, index: int) -> tuple[bytes, ImageRecord]:
    """Scene `index` of the data set `seed`, as JPEG bytes, with its objects."""
    rng = np.random.default_rng([seed, index])
    height, width = (int(side) for side in rng.integers(*SIDES_PX, size=2))
    canvas = backdrop.textured(rng, height, width)
    painted = _Scene(canvas, np.full((height, width), -1, np.int32))
    for _ in range(_count(rng)):
        _place(rng, painted)
    image = backdrop.photographed(rng, painted.canvas)
    quality = int(rng.integers(60, 96))
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    name = f"scene_{index:05d}.jpg"
    return encoded.tobytes(), ImageRecord(index + 1, name, height, width, Objects.of(painted.objects))


def _place(rng: np.random.Generator, painted: _Scene) -> None:
    """Paint one more object where it hides nobody too much; after ten tries the scene is full."""
    for _ in range(10):
        height, width = painted.owner.shape
        label = int(rng.integers(len(CLASS_NAMES)))
        size = min(_size_px(rng), 0.7 * min(height, width))
        stretch = float(rng.uniform(0.92, 1.09))
        points = outline(CLASS_NAMES[label], size / 2, float(rng.uniform(-MAX_TURN, MAX_TURN)), stretch)
        # the centre may come near the border: a part of the object is then cut off
        points += [rng.uniform(0.4 * size, width - 0.4 * size), rng.uniform(0.4 * size, height - 0.4 * size)]
        mask, (x, y) = _mask(points, height, width)
        inside = mask > 0.5
        if inside.sum() >= 16 and _leaves_enough(painted, inside, x, y):
            _paint(rng, painted, mask, x, y)
            area = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
            painted.owner[area][inside] = len(painted.areas)
            painted.areas.append(int(inside.sum()))
            low, high = np.maximum(points.min(axis=0), 0), np.minimum(points.max(axis=0), (width, height))
            painted.objects.append(((*low.tolist(), *high.tolist()), label, False))
            return


def _count(rng: np.random.Generator) -> int:
    """How many objects to place: mostly 1 to 8, seldom up to 20."""
    if rng.random() < CROWDED:
        return int(rng.integers(8, MAX_OBJECTS + 1))
    return 1 + min(MAX_OBJECTS - 1, int(rng.gamma(2.0, 1.6)))


def _size_px(rng: np.random.Generator) -> float:
    """Diameter of the outline, px: mostly 44 to 130, seldom down to 8 or up to 200."""
    low, high = [(44.0, 130.0), (8.0, 44.0), (130.0, 200.0)][int(rng.choice(3, p=[0.96, 0.02, 0.02]))]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _mask(points: npt.NDArray[np.float64], height: int, width: int) -> tuple[Float, tuple[int, int]]:
    """How much of each pixel the outline covers, 0 to 1, in the smallest window of the image; and its corner x, y."""
    x1, y1 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0).tolist()
    x2, y2 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 2, (width, height)).tolist()
    mask = np.zeros((max(y2 - y1, 1), max(x2 - x1, 1)), np.uint8)
    # a pixel's centre is at +0.5 in box coordinates and at +0 in OpenCV's
    fixed = np.round((points - (x1 + 0.5, y1 + 0.5)) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [fixed], (255.0,), lineType=cv2.LINE_AA, shift=_SHIFT)
    return (mask / 255).astype(np.float32), (x1, y1)


def _leaves_enough(painted: _Scene, inside: npt.NDArray[np.bool_], x: int, y: int) -> bool:
    """Whether every object would still show 40% of itself with this one on top."""
    below = painted.owner[y : y + inside.shape[0], x : x + inside.shape[1]][inside]
    for index in np.unique(below[below >= 0]):
        seen = int((painted.owner == index).sum()) - int((below == index).sum())
        if seen < (1 - MAX_HIDDEN) * painted.areas[index]:
            return False
    return True


def _paint(rng: np.random.Generator, painted: _Scene, mask: Float, x: int, y: int) -> None:
    """Lay a textured fill, often with a rim, over the window at (x, y)."""
    window = painted.canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    behind = window[mask > 0.5].mean(axis=0)
    fill = backdrop.surface(rng, _contrasting(rng, behind), *mask.shape)
    if rng.random() < 0.4:
        rim = mask - cv2.erode(mask, np.ones((3, 3), np.uint8))
        fill *= 1 - 0.6 * rim[..., None]
    window += mask[..., None] * (fill - window)


def _contrasting(rng: np.random.Generator, behind: npt.NDArray[np.floating]) -> Float:
    """A random colour that differs from the mean colour behind it."""
    for _ in range(20):
        colour = rng.uniform(10, 245, 3).astype(np.float32)
        if np.abs(colour - behind).max() >= CONTRAST and abs(float((colour - behind).mean())) >= CONTRAST / 3:
            return colour
    return np.where(behind < 128, 235, 20).astype(np.float32)
