"""The data card: every figure of it by hand, on a small data set."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.reports import data_card
from pipeline.reports.error_tables import Cell
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

NAMES = ("cat", "dog", "bird")


def image(name: str, *objects: tuple[int, float, float, float, float], crowd: bool = False) -> ImageRecord:
    """100 x 200 px, with objects (class, x, y, width, height); the last may be a crowd."""
    boxes = np.array([[x, y, x + width, y + height] for _, x, y, width, height in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for label, *_ in objects], np.int64)
    ignore = np.zeros(len(objects), np.bool_)
    if crowd:
        ignore[-1] = True
    return ImageRecord(1, name, 100, 200, Objects(boxes, labels, ignore))


@pytest.fixture
def splits(tmp_path: Path) -> dict[str, DatasetRecords]:
    categories = tuple(Category(label + 1, name) for label, name in enumerate(NAMES))

    def part(*images: ImageRecord) -> DatasetRecords:
        for record in images:
            pixels = np.full((100, 200, 3), 255, np.uint8)
            for box in record.objects.boxes_G4.astype(int).tolist():
                cv2.rectangle(pixels, box[:2], box[2:], (0, 0, 0), -1)
            cv2.imwrite(str(tmp_path / record.file_name), pixels)
        return DatasetRecords(tmp_path, categories, images)

    train = part(
        image("a.png", (0, 0, 0, 20, 10), (0, 10, 60, 40, 40)),
        image("b.png", (0, 150, 50, 30, 30), (1, 20, 20, 10, 40)),
        image("c.png", (1, 20, 20, 20, 20), (2, 0, 0, 199, 99), crowd=True),
    )
    return {"train": train, "val": part(), "test": part(image("d.png", (1, 190, 90, 10, 10)), image("e.png"))}


def test_aspects(splits: dict[str, DatasetRecords]) -> None:
    shares = data_card.aspect_shares(splits)
    assert dict(shares["train"]) == {0.25: 0.2, 2**-1.5: 0.0, 0.5: 0.0, 2**-0.5: 0.0, 1.0: 0.6, 2**0.5: 0.0, 2.0: 0.2}
    assert dict(shares["test"])[1.0] == 1.0 and "val" not in shares


def test_the_longest_objects_count_in_the_outermost_bins(splits: dict[str, DatasetRecords]) -> None:
    long = DatasetRecords(Path(), splits["train"].categories, [image("l.png", (0, 0, 0, 199, 1), (0, 0, 0, 1, 99))])
    shares = dict(data_card.aspect_shares({**splits, "train": long})["train"])
    assert shares[data_card.ASPECTS[0]] == shares[data_card.ASPECTS[-2]] == 0.5


def test_places(splits: dict[str, DatasetRecords]) -> None:
    """By column and row of 12: (0, 0), (1, 9), (9, 7), (1, 4), (1, 3), (11, 11); the crowd does not count."""
    found = np.array(data_card.centers(splits))
    assert {(int(column), int(row)) for row, column in np.argwhere(found)} == {
        (0, 0),
        (1, 9),
        (9, 7),
        (1, 4),
        (1, 3),
        (11, 11),
    }
    assert found.max() == 1.0


def test_classes_that_meet(splits: dict[str, DatasetRecords]) -> None:
    rows = dict(data_card.meetings(splits))
    assert rows["cat"] == [Cell(2, 100, True), Cell(1, 50, False), Cell(0, 0, False)]
    assert rows["dog"] == [Cell(1, 33, False), Cell(3, 100, True), Cell(0, 0, False)]
    assert rows["bird"] == [Cell(0, 0, False)] * 2 + [Cell(0, 0, True)]
    assert [name for name, _ in data_card.meetings(splits, most=2)] == ["cat", "dog"]


def test_examples_are_a_small_a_middling_and_a_large_object(splits: dict[str, DatasetRecords]) -> None:
    found = dict(data_card.examples(splits))
    assert list(found) == ["cat", "dog"], "the bird is a crowd"
    assert [example.text for example in found["cat"]] == [
        "20 × 10 px in a.png",
        "30 × 30 px in b.png",
        "40 × 40 px in a.png",
    ]
    assert len(found["dog"]) == 2, "each object once"
    for example in (example for members in found.values() for example in members):
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(example.jpeg), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None and max(pixels.shape) == data_card.EXAMPLE_PX
        height, width = pixels.shape[:2]
        assert pixels[: height // 2 + 1, : width // 2 + 1].min() < 80, "the object is in it"


def test_findings_stand_by_severity_with_what_was_done() -> None:
    validation = {
        "findings_by_code": {"image-grayscale": 9, "missing-image": 1, "box-outside": 3},
        "list": [
            {"code": "missing-image", "action": "image and its 12 boxes dropped"},
            *[{"code": "box-outside", "action": "box dropped"}] * 3,
            *[{"code": "image-grayscale", "action": "used"}] * 9,
        ],
    }
    rows = data_card.findings(validation)
    assert [(row.code, row.check.severity, row.times, row.done) for row in rows] == [
        ("box-outside", "error", 3, "box dropped"),
        ("missing-image", "error", 1, "image and its boxes dropped"),
        ("image-grayscale", "note", 9, "used"),
    ]
    assert data_card.findings({"findings_by_code": {}}) == data_card.findings({}) == []


def test_each_way_to_act_on_a_kind_is_told_once() -> None:
    actions = ["box dropped", "file left out", "box dropped", "its 7 boxes dropped", "its 3 boxes dropped"]
    entries = [{"code": "unreadable-annotation", "action": action} for action in actions] + [{"where": "a"}]
    (row,) = data_card.findings({"findings_by_code": {"unreadable-annotation": 5}, "list": entries})
    assert row.done == "box dropped; file left out; its boxes dropped"


def test_changes_are_told_where_there_are_any() -> None:
    assert data_card.changes({"left_out": [], "repeated": {}}) == []
    ((about, count),) = data_card.changes({"left_out": ["a.jpg", "b.jpg"], "repeated": {}})
    assert about.startswith("images left out") and count == "2"
