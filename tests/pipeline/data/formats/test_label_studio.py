"""Label Studio's exports JSON and JSON_MIN."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from tests.pipeline.data import folders
from yolox_core.data.records import ImageRecord

VALUE = {"x": 12.5, "y": 50, "width": 25, "height": 50, "rotation": 0}  # in an 80x60 image: [10, 30, 30, 60]


def region(**value: Any) -> dict[str, Any]:
    content = {**VALUE, "rectanglelabels": ["cat"], **value}
    return {"id": "r", "type": "rectanglelabels", "value": content, "original_width": 80, "original_height": 60}


def task(*results: Any, image: str = "/data/upload/1/a.jpg", number: int = 7, **annotation: Any) -> dict[str, Any]:
    made = {"id": 1, "result": results, "was_cancelled": False, **annotation}
    guess = {"result": [region(rectanglelabels=["guess"])]}
    return {"id": number, "annotations": [made], "predictions": [guess], "data": {"caption": "x", "image": image}}


def read(root: Path, *tasks: Any) -> tuple[list[ImageRecord], tuple[str, ...], list[Finding]]:
    folders.picture(root / "images" / "a.jpg")
    folders.write(root / "export.json", json.dumps(tasks))
    records, findings = read_dataset(root)
    return list(records.images), records.class_names, findings


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/a.jpg",
        "/data/upload/1/1a2b3c4d-a.jpg",
        "/data/local-files/?d=images/a.jpg",
        "http://host:8080/data/upload/a.jpg?token=b",
        "s3://bucket/some/a.jpg",
        "images\\a.jpg",
        "%61.jpg",
    ],
)
def test_the_image_is_found_by_its_name(tmp_path: Path, address: str) -> None:
    (record,), names, findings = read(tmp_path, task(region(), image=address))
    assert record.objects.boxes_G4.tolist() == [[10, 30, 30, 60]] and names == ("cat",) and not findings
    assert (record.image_id, record.height, record.width) == (7, 60, 80)


@pytest.mark.parametrize(
    ("value", "box"),
    [
        ({"points": [[12.5, 50], [25, 100], [37.5, 60]], "polygonlabels": ["cat"]}, [10, 30, 30, 60]),
        ({"x": 50, "y": 50, "radiusX": 12.5, "radiusY": 25, "ellipselabels": ["cat"]}, [30, 15, 50, 45]),
        ({**VALUE, "labels": ["cat"]}, [10, 30, 30, 60]),
    ],
)
def test_each_shape_with_an_area_is_a_box(tmp_path: Path, value: dict[str, Any], box: list[float]) -> None:
    (record,), names, findings = read(tmp_path, task({"value": value}))
    assert record.objects.boxes_G4.tolist() == [box] and names == ("cat",) and not findings


def test_json_min(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "b.jpg", 1)
    flat = {"image": "/data/upload/1/a.jpg", "id": 3, "annotation_id": 1, "annotator": 1, "lead_time": 2.5}
    polygon = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["dog"], "original_width": 80}
    marks = {"label": [{**VALUE, "rectanglelabels": ["cat"], "original_width": 80, "original_height": 60}]}
    both = {**flat, **marks, "outline": [polygon]}
    images, names, findings = read(tmp_path, both, {**flat, "image": "b.jpg", "id": 4})
    assert [record.objects.boxes_G4.tolist() for record in images] == [[[10, 30, 30, 60], [0, 0, 40, 30]], []]
    assert [record.image_id for record in images] == [3, 4] and names == ("cat", "dog") and not findings


def test_a_rectangle_turns_about_its_first_corner(tmp_path: Path) -> None:
    # 20 x 30 px at (10, 30), a quarter turn clockwise: to the left of the corner and below it
    (record,), _, findings = read(tmp_path, task(region(rotation=90)))
    np.testing.assert_allclose(record.objects.boxes_G4, [[-20, 30, 10, 50]], atol=1e-5)
    assert [finding.code for finding in findings] == ["box-turned"]


def test_an_ellipse_turns_about_its_centre(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "radiusX": 12.5, "radiusY": 25, "rotation": 90, "ellipselabels": ["cat"]}
    (record,), _, _ = read(tmp_path, task({"value": value}))
    np.testing.assert_allclose(record.objects.boxes_G4, [[25, 20, 55, 40]], atol=1e-5)


def test_percent_are_of_the_images_own_size(tmp_path: Path) -> None:
    large = {**region(), "original_width": 800, "original_height": 600}
    (record,), _, findings = read(tmp_path, task(large))
    assert record.objects.boxes_G4.tolist() == [[10, 30, 30, 60]] and not findings


def test_what_nobody_annotated_is_left_out(tmp_path: Path) -> None:
    for seed, name in enumerate("bcde"):
        folders.picture(tmp_path / "images" / f"{name}.jpg", seed)
    cancelled = task(region(), image="b.jpg", number=2, was_cancelled=True)
    open_task = {"id": 3, "data": {"image": "c.jpg"}, "annotations": []}
    images, _, findings = read(tmp_path, task(region()), cancelled, open_task, task(image="d.jpg", number=4))
    assert [(record.file_name, len(record.objects)) for record in images] == [("a.jpg", 1), ("d.jpg", 0)]
    assert [finding.where for finding in findings] == ["images/b.jpg", "images/c.jpg", "images/e.jpg"]


def test_of_several_annotations_the_ground_truth_counts(tmp_path: Path) -> None:
    several = task(region())
    several["annotations"].append({"result": [region(rectanglelabels=["dog"])], "ground_truth": True})
    _, names, findings = read(tmp_path, several)
    assert names == ("dog",) and [finding.code for finding in findings] == ["several-annotations"]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    wrong: list[Any] = [
        region(x=None),
        region(width=float("nan")),
        region(rotation="much"),
        {"value": {"points": [[1, 2], [3, 4]], "polygonlabels": ["cat"]}},
        {"value": {"points": [[1, 2], [3, 4], [5]], "polygonlabels": ["cat"]}},
        {"id": "other", "value": VALUE},
        {"id": "r", "type": "rectangle", "value": VALUE},  # its label is in another result of the same id
        {"type": "choices", "value": {"choices": ["day"]}},
        None,
        region(rectanglelabels=["cat", "dog"]),
    ]
    (record,), _, findings = read(tmp_path, task(*wrong), task(region()), task(region(), image="lost.jpg"), 3)
    assert record.objects.boxes_G4.tolist() == [[10, 30, 30, 60]]
    assert sorted(finding.code for finding in findings) == [
        *["box-not-numbers"] * 5,
        "duplicate-annotation",
        "missing-image",
        "several-labels",
        "unknown-class",
        "unreadable-annotation",
    ]
    assert findings[0].where == "export.json: task 1: region 1"
