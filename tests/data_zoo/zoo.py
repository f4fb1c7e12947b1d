"""Small data sets, each with one kind of damage: `python -m tests.data_zoo.zoo FOLDER` writes them all.

A kind is a function that damages a sound data set in a folder; its name says how, and it names the finding that the
doctor must make.
"""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

NAMES = ("cat", "dog")
SIZE = (96, 128)  # height, width
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Kind:
    """One animal of the zoo."""

    name: str
    code: str  # of the finding
    make: Callable[[Path], None]


KINDS: list[Kind] = []
Maker = Callable[[Path], None]
CocoMaker = Callable[["Coco"], None]


class Coco:
    """A sound COCO data set of four images with two objects each, to be damaged before it is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: list[Any] = []
        self.annotations: list[Any] = []
        self.categories: list[Any] = [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)]
        for number in range(1, 5):
            self.add(f"{number}.jpg", encoded(picture(number), ".jpg"))

    def add(self, name: str, data: bytes | None, size: tuple[int, int] = SIZE) -> dict[str, Any]:
        """An image with two objects; None: its file is not written."""
        number = len(self.images) + 1
        entry = {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        self.images.append(entry)
        for category, box in ((1, [10, 12, 40, 30]), (2, [60, 40, 30, 36])):
            self.box(number, box, category)
        if data is not None:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        return entry

    def box(self, image: Any, box: Any, category: Any = 1, **more: Any) -> None:
        entry = {"id": len(self.annotations) + 1, "image_id": image, "category_id": category, "bbox": box}
        self.annotations.append(entry | more)

    def put(self, number: int, data: bytes, name: str | None = None) -> None:
        """Another file for an image."""
        entry = self.images[number - 1]
        (self.root / entry["file_name"]).unlink()
        entry["file_name"] = name or entry["file_name"]
        (self.root / entry["file_name"]).write_bytes(data)

    def write(self) -> None:
        sections = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        (self.root / "annotations.json").write_text(json.dumps(sections), encoding="utf-8")

    def write_split(self, *held_out: int) -> None:
        """Two files, train and test, by image id."""
        for split in ("train", "test"):
            mine = {entry["id"] for entry in self.images if (entry["id"] in held_out) == (split == "test")}
            sections = {
                "images": [entry for entry in self.images if entry["id"] in mine],
                "annotations": [entry for entry in self.annotations if entry["image_id"] in mine],
                "categories": self.categories,
            }
            (self.root / f"instances_{split}.json").write_text(json.dumps(sections), encoding="utf-8")


def picture(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    """A coloured scene of smooth shapes, different for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


def encoded(pixels: np.ndarray[Any, Any], suffix: str, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels, list(options))
    assert done
    return data.tobytes()


def by_pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pillow(seed: int) -> Image.Image:
    return Image.fromarray(picture(seed)[..., ::-1])


def kind(code: str) -> Callable[[Maker], Maker]:
    """Register a function that writes a whole folder."""

    def register(make: Maker) -> Maker:
        KINDS.append(Kind(make.__name__, code, make))
        return make

    return register


def coco(code: str) -> Callable[[CocoMaker], CocoMaker]:
    """Register a function that damages a COCO data set, which is then written."""

    def register(damage: CocoMaker) -> CocoMaker:
        def make(root: Path) -> None:
            made = Coco(root)
            damage(made)
            if not list(root.glob("*.json")):
                made.write()

        KINDS.append(Kind(damage.__name__, code, make))
        return damage

    return register


if __name__ == "__main__":
    import tests.data_zoo.annotations
    import tests.data_zoo.images  # noqa: F401  # each adds its kinds

    for one in KINDS:
        (Path(sys.argv[1]) / one.name).mkdir(parents=True)
        one.make(Path(sys.argv[1]) / one.name)
        print(f"{one.name}: {one.code}")
