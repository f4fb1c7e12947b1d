"""Copies of pictures, planted among real and rendered ones, are found; different pictures are not taken for copies."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.checks.duplicate_findings import groups_of
from pipeline.data.scan import near_duplicates
from pipeline.data.scan.duplicate_cache import pairs
from pipeline.data.scan.near_duplicates import SIDE, SURE, Thumb, thumb
from pipeline.data.synthetic.scenes import render
from tests import needs
from yolox_core.data.image_io import read_image
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.structures import ImageArray

# all that are copies in truth: found by these checks, then looked at
TRUE_COPIES = {
    frozenset(f"raccoon-{number}.jpg" for number in group)
    for group in ((11, 116), (120, 83), (21, 45), (50, 52, 74), (65, 98))
}


def jpeg(image: ImageArray, quality: int) -> ImageArray:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def resized(image: ImageArray, scale: float, way: int = cv2.INTER_AREA) -> ImageArray:
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), np.uint8)


COPIES = {
    "half": lambda image: resized(image, 0.5),
    "larger": lambda image: resized(image, 1.7, cv2.INTER_CUBIC),
    "recompressed": lambda image: jpeg(image, 30),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "all three": lambda image: jpeg(resized(np.ascontiguousarray(image[:, ::-1]), 0.6), 50),
}


@pytest.fixture(scope="module")
def real() -> tuple[list[str], list[ImageArray]]:
    root = needs.shared_folder("datasets")
    paths = [path for name in ("raccoon", "bccd") for path in sorted((root / name).rglob("*"))]
    paths = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    assert len(paths) == 564
    return [path.name for path in paths], [read_image(path) for path in paths]


def test_at_most_one_false_alarm_among_a_thousand(real: tuple[list[str], list[ImageArray]], tmp_path: Path) -> None:
    names, images = real
    scenes = render(tmp_path, 500, seed=5)
    drawn = [read_image(scenes.path(record)) for record in scenes.images]
    everybody = [*names, *(record.file_name for record in scenes.images)]
    found = [
        frozenset((everybody[pair.first], everybody[pair.second]))
        for pair in pairs([thumb(image) for image in [*images, *drawn]])[0]
    ]
    groups = {frozenset(group) for group in groups_of([sorted(pair) for pair in found])}
    assert groups >= TRUE_COPIES
    assert len(groups - TRUE_COPIES) <= 1


@pytest.mark.parametrize("way", COPIES)
def test_a_planted_copy_is_found(real: tuple[list[str], list[ImageArray]], way: str) -> None:
    _, images = real
    rng = np.random.default_rng(1)
    for index in rng.choice(len(images), 40, replace=False):
        copy = COPIES[way](images[index])
        (found,) = pairs([thumb(images[index]), thumb(copy)])[0]
        assert (found.first, found.second) == (0, 1), index


def test_a_thousand_rows_are_compared_with_all() -> None:
    """More than one block, with copies within the first, the last, and across."""
    rng = np.random.default_rng(0)
    thumbs: list[Thumb] = list(rng.integers(0, 256, (2100, SIDE, SIDE), dtype=np.uint8))
    for one, other in ((0, 5), (3, 2050), (2051, 2099)):
        thumbs[other] = thumbs[one][:, ::-1] if other == 2050 else thumbs[one]
    assert sorted((pair.first, pair.second, pair.mirrored) for pair in pairs(thumbs)[0]) == [
        (0, 5, False),
        (3, 2050, True),
        (2051, 2099, False),
    ]


def slowly(thumbs: list[Thumb]) -> set[tuple[int, int]]:
    """Every picture with the likest before it, by comparing each with all; of ties any."""
    flat = np.stack([thumbs, np.stack(thumbs)[:, :, ::-1]]).reshape(2, len(thumbs), -1).astype(np.float64)
    flat -= flat.mean(axis=2, keepdims=True)
    flat /= np.linalg.norm(flat, axis=2, keepdims=True)
    like = np.maximum(flat[0] @ flat[0].T, flat[0] @ flat[1].T)
    return {(int(like[row, :row].argmax()), row) for row in range(1, len(thumbs)) if like[row, :row].max() >= SURE}


@pytest.mark.parametrize("seed", range(5))
def test_blocks_find_what_comparing_all_finds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 7 by 11, so that copies lie in all of them; likeness on both sides of the bound."""
    monkeypatch.setattr(near_duplicates, "ROWS", 7)
    monkeypatch.setattr(near_duplicates, "COLUMNS", 11)
    rng = np.random.default_rng(seed)
    thumbs: list[Thumb] = []
    for number in range(150):
        small = rng.integers(0, 256, (5, 5), dtype=np.uint8)
        thumbs.append(np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8))
        if number > 10 and rng.random() < 0.4:
            copy = thumbs[int(rng.integers(0, number))].astype(np.float64)
            copy = (copy[:, ::-1] if rng.random() < 0.5 else copy) + rng.normal(0, rng.choice([1, 8, 14]), copy.shape)
            thumbs[-1] = copy.clip(0, 255).astype(np.uint8)
    expected = slowly(thumbs)
    assert {(pair.first, pair.second) for pair in pairs(thumbs)[0]} == expected
    assert 20 < len(expected) < 80


def test_pictures_of_one_colour_are_not_compared() -> None:
    flat = [np.full((SIDE, SIDE), level, np.uint8) for level in (0, 0, 200)]
    assert pairs(flat)[0] == [] and pairs([])[0] == []


def test_of_a_fixed_cameras_pictures_each_is_told_once_or_twice() -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 250, (SIDE, SIDE))
    thumbs = [(scene + rng.integers(0, 3, (SIDE, SIDE))).astype(np.uint8) for _ in range(300)]
    assert len(pairs(thumbs)[0]) == 299
    sides = ["test" if number % 3 == 0 else "train" for number in range(300)]
    found, _ = pairs(thumbs, sides)
    assert len(found) <= 2 * 299
    across = [pair for pair in found if sides[pair.first] != sides[pair.second]]
    assert len({pair.second for pair in across}) == 299
