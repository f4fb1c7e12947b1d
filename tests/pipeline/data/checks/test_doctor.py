"""Every kind of bad image and bad box: found, said, and gone."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.checks import doctor
from pipeline.data.checks.doctor import check, check_boxes, summary
from pipeline.data.formats.read import read_dataset
from tests import needs
from tests.pipeline.data import folders
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects


def with_boxes(*boxes: list[float]) -> ImageRecord:
    count = len(boxes)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return ImageRecord(1, "a.jpg", 60, 80, Objects(array, np.zeros(count, np.int64), np.zeros(count, np.bool_)))


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ([np.nan, 0, 10, 10], "box-not-finite"),
        ([0, 0, np.inf, 10], "box-not-finite"),
        ([90, 0, 5, 10], "box-inverted"),  # one corner lies beyond the image: not plainly swapped
        ([0, 10, 5, -5], "box-inverted"),
        ([5, 0, 5, 10], "box-without-area"),
        ([80, 0, 90, 10], "box-outside"),
        ([-20, -20, 0, -1], "box-outside"),
    ],
)
def test_a_box_that_cannot_be_used_is_dropped(box: list[float], code: str) -> None:
    good: list[float] = [1, 1, 5, 5]
    ((checked, findings),) = check_boxes([with_boxes(good, box, [2, 2, 6, 6])])
    assert checked.objects.boxes_G4.tolist() == [good, [2, 2, 6, 6]]
    assert len(checked.objects) == len(checked.objects.ignore_G) == 2
    assert [finding.code for finding in findings] == [code]
    assert findings[0].line().startswith("a.jpg: object 2: ")


def test_a_box_partly_outside_is_clipped_and_rounding_is_not_worth_a_word() -> None:
    ((checked, findings),) = check_boxes([with_boxes([-5, 10, 20, 70], [0, 0, 80.4, 10])])
    assert checked.objects.boxes_G4.tolist() == [[0, 10, 20, 60], [0, 0, 80, 10]]
    assert [finding.code for finding in findings] == ["box-clipped"]


def test_an_exact_duplicate_is_dropped_and_another_class_is_not() -> None:
    record = with_boxes([1, 1, 5, 5], [1, 1, 5, 5], [1, 1, 5, 5])
    record = replace(record, objects=record.objects.labelled(np.array([0, 0, 1])))
    ((checked, findings),) = check_boxes([record])
    assert checked.objects.labels_G.tolist() == [0, 1]
    assert [finding.code for finding in findings] == ["box-duplicate", "box-twice-named"]


def test_zero_and_minus_zero_are_one_border() -> None:
    ((checked, findings),) = check_boxes([with_boxes([0.0, 1, 5, 5], [-0.0, 1, 5, 5])])
    assert len(checked.objects) == 1 and [finding.code for finding in findings] == ["box-duplicate"]


def odd_records() -> list[ImageRecord]:
    """Boxes on and beside every border that a check draws, in images with few and many."""
    rng = np.random.default_rng(3)
    ends: list[list[float]] = [
        [-0.0, 0, -0.3, 4, 30, np.nan, np.inf, -5],
        [1.9, 2, 8, 31, 79.7, 80, 80.4, 90, 5, -np.inf],
    ]
    records = []
    for number in range(600):
        boxes = np.array([[rng.choice(ends[0]), 3, rng.choice(ends[1]), 9] for _ in range(number % 5)], np.float32)
        if number % 7 == 0:
            boxes = boxes[:, [1, 0, 3, 2]] if len(boxes) else boxes
        if number % 11 == 0:
            boxes = np.array([[0, -0.0, 80, 59.8], [5, 5, 9, 9]], np.float32)[: 1 + number % 2]
        record = with_boxes(*boxes.reshape(-1, 4).tolist())
        labels_G, ignore_G = rng.integers(0, 2, len(boxes)), rng.random(len(boxes)) < 0.5
        records.append(replace(record, objects=Objects(record.objects.boxes_G4, labels_G, ignore_G)))
    return records


def test_what_is_looked_at_all_at_once_is_what_is_found_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    records = odd_records()
    quick = list(check_boxes(records))
    closer = sum(checked is not record for (checked, _), record in zip(quick, records, strict=True))
    assert 100 < closer < 500
    monkeypatch.setattr(doctor, "_with_odd_boxes", lambda images: np.ones(len(images), np.bool_))
    for (mended, findings), (slowly, found) in zip(quick, check_boxes(records), strict=True):
        assert findings == found
        for field in ("boxes_G4", "labels_G", "ignore_G"):
            np.testing.assert_array_equal(getattr(mended.objects, field), getattr(slowly.objects, field))


def test_images(tmp_path: Path) -> None:
    for name in ("good.jpg", "copy.jpg", "short.jpg", "short.png"):
        folders.picture(tmp_path / name, 1)
    for name in ("short.jpg", "short.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 9 // 10])
    folders.write(tmp_path / "text.jpg", "no image")
    folders.write(tmp_path / "empty.jpg", "")
    names = ["good.jpg", "copy.jpg", "short.jpg", "short.png", "text.jpg", "empty.jpg", "lost.jpg"]
    images = [replace(with_boxes([1, 1, 9, 9]), file_name=name, image_id=i) for i, name in enumerate(names)]
    usable, findings = check(DatasetRecords(tmp_path, (Category(1, "cat"),), images))
    assert [record.file_name for record in usable.images] == ["good.jpg", "copy.jpg"]
    assert [(finding.where, finding.code) for finding in findings] == [
        *[(name, "truncated-image") for name in names[2:4]],
        *[(name, "unreadable-image") for name in names[4:6]],
        ("lost.jpg", "missing-image"),
        ("copy.jpg", "image-duplicate"),
    ]
    assert "truncated" in findings[0].what and "truncated" in findings[1].what
    counts = summary(usable, findings)
    assert counts["findings_by_code"] == {
        "image-duplicate": 1,
        "missing-image": 1,
        "truncated-image": 2,
        "unreadable-image": 2,
    }
    assert counts["boxes_per_class"] == {"cat": 2}
    json.dumps(counts, allow_nan=False)


@pytest.mark.parametrize(
    ("annotated", "codes"),
    [
        ((60, 80), []),
        ((0, 0), []),
        ((80, 60), ["size-transposed"]),
        ((30, 40), ["size-scaled"]),
        ((61, 90), ["size-wrong"]),
    ],
)
def test_sizes_are_corrected(tmp_path: Path, annotated: tuple[int, int], codes: list[str]) -> None:
    folders.picture(tmp_path / "a.jpg")
    record = replace(with_boxes([1, 1, 9, 9]), height=annotated[0], width=annotated[1])
    usable, findings = check(DatasetRecords(tmp_path, (Category(1, "cat"),), [record]))
    assert (usable.images[0].height, usable.images[0].width) == (60, 80)
    assert usable.images[0].objects.boxes_G4.tolist() == [[1, 1, 9, 9]]
    assert [finding.code for finding in findings] == codes


def test_no_images_at_all_can_be_summed_up(tmp_path: Path) -> None:
    usable, findings = check(DatasetRecords(tmp_path, (Category(1, "cat"),), []))
    assert not findings and summary(usable, findings)["boxes"] == 0


def test_bccd_has_two_boxes_without_area() -> None:
    records, unread = read_dataset(needs.shared_folder("datasets") / "bccd")
    assert not unread
    assert sum(len(record.objects) for record in records.images) == 4888
    usable, findings = check(records)
    assert [(finding.where, finding.code) for finding in findings] == [
        ("Annotations/BloodImage_00338.xml: object 13", "box-without-area"),
        ("Annotations/BloodImage_00343.xml: object 4", "box-without-area"),
    ]
    counts = summary(usable, findings)
    assert (counts["images"], counts["boxes"]) == (364, 4886)
    assert counts["boxes_per_class"] == {"Platelets": 361, "RBC": 4153, "WBC": 372}


def test_raccoon_has_four_images_twice() -> None:
    records, unread = read_dataset(needs.shared_folder("datasets") / "raccoon")
    usable, findings = check(records)
    assert not unread
    named = Counter(finding.code for finding in findings)
    assert named == {
        "image-duplicate": 3,
        "duplicate-across-splits": 1,
        "image-grayscale": 3,
        "copies-differ": 4,
        "image-similar": 2,
    }
    grey = {finding.where for finding in findings if finding.code == "image-grayscale"}
    assert len(grey) == 3 and all(record.objects.boxes_G4.size for record in usable.images if record.file_name in grey)
    similar = sorted(finding.line() for finding in findings if "similar" in finding.code)
    for number, (second, first) in enumerate((("45", "21"), ("52", "50"))):
        assert f"raccoon-{second}.jpg" in similar[number] and f"a copy of raccoon-{first}.jpg" in similar[number]
    assert (len(usable.images), sum(len(record.objects) for record in usable.images)) == (200, 217)
