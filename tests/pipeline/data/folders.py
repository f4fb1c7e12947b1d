"""Small real data sets on disk, in each format, for the tests of this folder and of the stages."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Box = Sequence[Any]  # (class name, xmin, ymin, xmax, ymax) as they will be written


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (60, 80)) -> None:
    """A noise image of (height, width); equal seeds give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    done, encoded = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(encoded.tobytes())


def voc_xml(path: Path, boxes: Sequence[Box], size: tuple[int, int] | None = (60, 80), filename: str = "") -> None:
    """A VOC annotation; `size` is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sized = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>" if size else ""
    objects = "".join(
        f"<object><name>{name}</name><difficult>1</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2 in boxes
    )
    path.write_text(f"<annotation><filename>{filename}</filename>{sized}{objects}</annotation>")


def voc(root: Path, images: Mapping[str, Sequence[Box]]) -> Path:
    """A VOC folder of images with different content."""
    for seed, (name, boxes) in enumerate(images.items()):
        picture(root / "JPEGImages" / f"{name}.jpg", seed)
        voc_xml(root / "Annotations" / f"{name}.xml", boxes)
    return root


def coco_json(path: Path, images: Sequence[Any], annotations: Sequence[Any], categories: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
