"""Rare classes are seen more often, background is bounded, and nothing else changes."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.prepare.repeat_factors import balanced, repeat_factors, without_repeats
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects


def image(number: int, *labels: int) -> ImageRecord:
    boxes = np.tile(np.array([1, 1, 5, 5], np.float32), (len(labels), 1))
    objects = Objects(boxes, np.array(labels, np.int64), np.zeros(len(labels), np.bool_))
    return ImageRecord(number, f"{number}.jpg", 8, 8, objects)


def balance(images: list[ImageRecord], background: float | None = None, rare: float | None = None) -> list[ImageRecord]:
    digests = [hashlib.sha256(record.file_name.encode()).hexdigest() for record in images]
    categories = (Category(1, "cat"), Category(2, "dog"))
    found = balanced(DatasetRecords(Path(), categories, images), digests, background=background, rare=rare, seed=0)
    return list(found.images)


def test_by_default_everything_is_seen_once() -> None:
    images = [image(1, 0), image(2), image(3, 1)]
    assert balance(images) == images


@pytest.mark.parametrize(("share", "left"), [(0.0, 0), (0.1, 10), (0.2, 22), (0.5, 50), (0.9, 50)])
def test_background_is_at_most_a_share(share: float, left: int) -> None:
    images = [image(number, 0) for number in range(90)] + [image(number) for number in range(90, 140)]
    found = balance(images, background=share)
    empty = [record for record in found if not len(record.objects)]
    assert len(empty) == left and len(found) - left == 90
    assert len(empty) <= share * len(found) + 1e-9 or left == 50


def test_which_background_stays_does_not_hang_on_what_else_there_is() -> None:
    few = [image(number, 0) for number in range(90)] + [image(number) for number in range(100, 150)]
    more = [*few, *(image(number, 0) for number in range(200, 240))]
    assert {record.file_name for record in balance(few, background=0.1)} <= {
        record.file_name for record in balance(more, background=0.1)
    }


def test_repeat_factors_are_those_of_the_paper() -> None:
    images = [image(number, 0) for number in range(96)] + [image(number, 0, 1) for number in range(96, 100)]
    factors = repeat_factors(images, rare=0.16)
    assert factors[:96] == [1.0] * 96  # 100% of the images hold a cat
    assert factors[96:] == pytest.approx([2.0] * 4)  # sqrt(.16 / .04)


def test_repeats_round_to_their_factor_on_average_and_get_ids_of_their_own() -> None:
    images = [image(number, 0) for number in range(1, 901)] + [image(number, 1) for number in range(901, 1001)]
    found = balance(images, rare=0.225)  # sqrt(2.25) = 1.5 for a dog
    assert len({record.image_id for record in found}) == len(found)
    assert found[:1000] == images
    times = Counter(record.file_name for record in found)
    assert {times[record.file_name] for record in images[:900]} == {1}
    dogs = [times[record.file_name] for record in images[900:]]
    assert set(dogs) == {1, 2} and 130 <= sum(dogs) <= 170


def test_nothing_to_balance() -> None:
    assert balance([], background=0.1, rare=0.1) == []
    assert balance([image(1)], background=0.0, rare=0.1) == []


def test_without_repeats_each_image_is_there_once() -> None:
    images = [image(0, 1), *(image(number, 0) for number in range(1, 40)), image(40, 0, 1)]
    repeated = balance(images, rare=0.5)
    assert len(repeated) > len(images) + 2, "the first and the last, several times"
    assert without_repeats(DatasetRecords(Path(), (), repeated)).images == images
