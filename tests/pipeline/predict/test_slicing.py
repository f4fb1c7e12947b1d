"""Tiles cover an image, and what they found is merged to what is there."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.predict.slicing import SlicingPredictor, Tile, merge, tiles
from tests.needs import coco_nano, shared_file
from tests.pipeline.cli.commands_project import SPEC
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor
from yolox_core.structures import Detections, ImageArray


@pytest.mark.parametrize("image", [(640, 641), (1000, 3000), (641, 100), (5000, 700)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.9])
def test_tiles_cover_the_image_and_overlap(image: tuple[int, int], overlap: float) -> None:
    *parts, whole = tiles(image, (640, 640), overlap)
    assert whole == (0, 0, image[1], image[0])
    covered = np.zeros(image, np.int32)
    for x1, y1, x2, y2 in parts:
        assert (y2 - y1, x2 - x1) == (min(640, image[0]), min(640, image[1]))
        covered[y1:y2, x1:x2] += 1
    assert covered.min() == 1
    for low, high in ((0, 2), (1, 3)):
        places = sorted({(part[low], part[high]) for part in parts})
        assert all(one[1] - other[0] >= 640 * overlap - 1 for one, other in itertools.pairwise(places))


def test_a_small_image_is_one_tile() -> None:
    assert tiles((480, 640), (640, 640), 0.2) == [(0, 0, 640, 480)]


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), SPEC)


LEFT, RIGHT, IMAGE = (0, 0, 100, 100), (80, 0, 180, 100), (100, 180)


def boxes(*seen: tuple[Tile, Detections]) -> list[list[float]]:
    return merge(list(seen), IMAGE, 0.65).boxes.tolist()


def test_a_part_at_an_edge_goes_even_where_it_is_surer() -> None:
    """The object at x 90 to 140 is whole in the right tile; the left one sees its first 10 px."""
    assert boxes((LEFT, found((90, 10, 100, 50, 0.9, 0))), (RIGHT, found((10, 10, 60, 50, 0.6, 0)))) == [
        [90, 10, 140, 50]
    ]
    # another class is another object
    assert len(boxes((LEFT, found((85, 10, 100, 50, 0.9, 1))), (RIGHT, found((10, 10, 60, 50, 0.6, 0))))) == 2


def test_an_object_behind_another_stays() -> None:
    """Its box is three quarters covered, but no tile's edge has cut it."""
    assert len(boxes((LEFT, found((20, 20, 60, 60, 0.9, 0), (30, 20, 50, 80, 0.5, 0))), (RIGHT, found()))) == 2


def test_the_same_object_in_two_tiles_is_one() -> None:
    twice = boxes((LEFT, found((84, 20, 91, 40, 0.7, 0))), (RIGHT, found((9, 20, 16, 40, 0.8, 0))))
    assert len(twice) == 2  # apart by 5 px of 7: two objects
    assert boxes((LEFT, found((84, 20, 91, 40, 0.7, 0))), (RIGHT, found((4, 20, 11, 40, 0.8, 0)))) == [[84, 20, 91, 40]]


def test_the_edge_of_the_image_cuts_nothing() -> None:
    assert len(boxes((LEFT, found((0, 0, 10, 10, 0.9, 0), (0, 0, 40, 40, 0.5, 0))), (RIGHT, found()))) == 2


def test_nothing_anywhere() -> None:
    assert boxes((LEFT, found()), (RIGHT, found())) == []


@pytest.fixture(scope="module")
def coco() -> Predictor:
    return Predictor.load(coco_nano())


def small(number: int, side: int) -> ImageArray:
    """A raccoon, as large as that; COCO knows none, the detector says cat."""
    image = read_image(shared_file("datasets", f"raccoon/images/raccoon-{number}.jpg"))
    scale = side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def test_small_objects_are_found_only_in_tiles(coco: Predictor) -> None:
    canvas = np.full((2400, 3200, 3), 114, np.uint8)
    places = [(x, y) for y in (350, 1100, 1900) for x in (300, 1400, 2700)]
    for x, y in places:
        animal = small(1, 120)
        canvas[y : y + animal.shape[0], x : x + animal.shape[1]] = animal
    (whole,) = coco.predict([canvas], 0.25, 0.65)
    (answer,) = SlicingPredictor(coco).stream([canvas], 0.25, 0.65)
    assert not isinstance(answer, InputError)
    cat = coco.spec.class_names.index("cat")
    assert cat not in whole.labels
    boxes_N4 = answer[1].boxes[answer[1].labels == cat]
    centers = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    there = [(np.abs(centers - [x + 60, y + 60]) < 60).all(axis=1).any() for x, y in places]
    assert sum(there) >= 6  # at this size it is sure of most
    assert (np.diff(answer[1].scores) <= 0).all()


def test_a_large_object_stays_one(coco: Predictor) -> None:
    """Four times as large as a tile: the tiles see fur, the whole image sees the animal."""
    large = small(1, 1700)
    (whole,) = coco.predict([large], 0.25, 0.65)
    (answer,) = SlicingPredictor(coco).stream([large], 0.25, 0.65)
    assert len(whole) > 0 and not isinstance(answer, InputError)
    # the best of the whole image is still there
    assert (np.abs(answer[1].boxes - whole.boxes[0]).max(axis=1) < 1).any()


def test_an_image_of_one_tile_gives_what_it_gives_without(coco: Predictor) -> None:
    image = small(10, 400)
    (plain,) = coco.predict([image], 0.1, 0.5)
    (answer,) = SlicingPredictor(coco).stream([image], 0.1, 0.5)
    assert not isinstance(answer, InputError)
    assert len(plain) and np.array_equal(answer[1].boxes, plain.boxes)


def test_what_cannot_be_read_comes_in_its_place(coco: Predictor, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    answers = list(SlicingPredictor(coco).stream([tmp_path / "bad.jpg", small(10, 100)]))
    assert isinstance(answers[0], InputError) and not isinstance(answers[1], InputError)
    for options in ({"size": 31}, {"overlap": 0.95}, {"overlap": -0.1}):
        with pytest.raises(InputError, match="expected"):
            SlicingPredictor(coco, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="confidence"):
        SlicingPredictor(coco).stream([], confidence=2.0)
