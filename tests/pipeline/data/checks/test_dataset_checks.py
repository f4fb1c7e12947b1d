"""What is odd about a set as a whole, and the input size that would see its objects."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.checks.dataset_checks import SEEN_PX, check_classes, check_limit, check_sizes
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects


def set_of(boxes: list[list[float]], size: tuple[int, int] = (480, 640), crowd: bool = False) -> DatasetRecords:
    count = len(boxes)
    objects = Objects(np.asarray(boxes, np.float32).reshape(-1, 4), np.zeros(count, np.int64), np.full(count, crowd))
    record = ImageRecord(1, "a.jpg", *size, objects)
    return DatasetRecords(Path(), (Category(1, "cat"),), [record])


def square(side: float, at: float = 50) -> list[float]:
    return [at, at, at + side, at + side]


def test_the_size_that_is_named_sees_the_objects() -> None:
    records = set_of([square(6), *(square(40, at) for at in range(60, 200, 40))])
    (finding,) = check_sizes(records, 320)
    assert finding.code == "too-small-for-input" and "1 of 5 objects are smaller than 4 px at 320 px" in finding.what
    needed = int(finding.what.split("; ")[1].split()[0])
    assert needed % 32 == 0 and 6 * needed / 640 >= SEEN_PX > 6 * (needed - 32) / 640
    assert check_sizes(records, needed) == []


def test_what_no_size_shows_is_said() -> None:
    (finding,) = check_sizes(set_of([square(0.5)]), 640)
    assert "cut the images in tiles" in finding.what


def test_nothing_is_too_small_where_there_is_nothing() -> None:
    assert check_sizes(set_of([]), 640) == []
    assert check_sizes(set_of([square(2)], crowd=True), 640) == []  # a crowd is not to be found
    assert check_sizes(set_of([square(2)], size=(0, 0)), 640) == []


@pytest.mark.parametrize(("count", "expected"), [(17, 0), (18, 1)])
def test_more_objects_in_a_cell_than_points(count: int, expected: int) -> None:
    records = set_of([[100 - n / 10, 100 - n / 10, 102 + n / 10, 102 + n / 10] for n in range(count)])
    crowded = [finding for finding in check_sizes(records, 640) if finding.code == "too-crowded"]
    assert len(crowded) == expected


def test_more_objects_of_a_class_than_coco_counts() -> None:
    boxes = [square(4, at) for at in range(250)]
    (finding,) = check_limit(set_of(boxes))
    assert "1 of 1 images have more than 100 objects of a class" in finding.what and finding.images == ("a.jpg",)
    assert "a map of 0.406" in finding.what and "map_unlimited decides" in finding.action  # recalls 0 to 0.40 of 101
    assert check_limit(set_of(boxes[:100])) == check_limit(set_of(boxes, crowd=True)) == []


@pytest.mark.parametrize(
    ("names", "alike"),
    [(("cat", "Cat"), True), (("traffic light", "traffic_light"), True), (("cat", "cats"), False), (("#", "?"), False)],
)
def test_names_that_are_one_in_two_spellings(names: tuple[str, str], alike: bool) -> None:
    records = DatasetRecords(Path(), (Category(1, names[0]), Category(2, names[1])), [])
    assert ("class-names-alike" in {finding.code for finding in check_classes(records)}) == alike
