"""LabelMe's files, one beside each image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from tests.pipeline.data import folders
from yolox_core.data.records import ImageRecord
from yolox_core.errors import InputError

RECTANGLE = {"label": "cat", "points": [[30, 40], [10, 20]], "shape_type": "rectangle", "group_id": None}


def document(*shapes: Any, image: str = "a.jpg") -> str:
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": "A" * 99_999}
    return json.dumps({**content, "imageHeight": 60, "imageWidth": 80})


def read(root: Path, *shapes: Any) -> tuple[ImageRecord, list[Finding]]:
    folders.picture(root / "a.jpg")
    folders.write(root / "a.json", document(*shapes))
    records, findings = read_dataset(root)
    return records.images[0], findings


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[30, 40], [10, 20]], [10, 20, 30, 40]),
        ("rectangle", [[10, 20], [30, 20], [30, 40], [10, 40]], [10, 20, 30, 40]),
        ("polygon", [[10, 30], [20, 20], [30, 40]], [10, 20, 30, 40]),
        (None, [[10, 30], [20, 20], [30, 40]], [10, 20, 30, 40]),
        ("circle", [[20, 30], [23, 34]], [15, 25, 25, 35]),
        ("mask", [[1, 2], [3, 4]], [1, 2, 3, 4]),
    ],
)
def test_each_shape_with_an_area_is_a_box(tmp_path: Path, kind: str | None, points: Any, box: Any) -> None:
    record, findings = read(tmp_path, {"label": "cat", "points": points, "shape_type": kind})
    assert record.objects.boxes_G4.tolist() == [box] and not findings
    assert (record.height, record.width, record.annotation) == (60, 80, "a.json")


def test_polygons_of_one_group_are_one_object(tmp_path: Path) -> None:
    left = {"label": "cat", "points": [[0, 0], [10, 0], [10, 10]], "shape_type": "polygon", "group_id": 1}
    right = {**left, "points": [[30, 20], [40, 20], [40, 30]]}
    record, _ = read(tmp_path, left, {**left, "group_id": 2}, right, {**right, "label": "dog"})
    assert record.objects.boxes_G4.tolist() == [[0, 0, 40, 30], [0, 0, 10, 10], [30, 20, 40, 30]]
    assert record.objects.labels_G.tolist() == [0, 0, 1]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    wrong: list[Any] = [
        {**RECTANGLE, "shape_type": "line"},
        {**RECTANGLE, "shape_type": ["point"]},
        {**RECTANGLE, "points": [[1, 2]]},
        {**RECTANGLE, "points": [[1, 2], [3, None]]},
        {**RECTANGLE, "points": [[1, 2], [3, float("nan")]]},
        {**RECTANGLE, "points": "1 2 3 4"},
        {**RECTANGLE, "label": ""},
        {**RECTANGLE, "label": "\ud800"},
        None,
    ]
    folders.write(tmp_path / "broken.json", '{"shapes": [')
    folders.write(tmp_path / "odd.json", '{"shapes": 3}')
    folders.write(tmp_path / "lost.json", document(image="/home/lost.jpg"))
    folders.picture(tmp_path / "nobody.jpg", 2)
    record, findings = read(tmp_path, *wrong, RECTANGLE)
    assert record.objects.boxes_G4.tolist() == [[10, 20, 30, 40]]
    assert sorted(finding.code for finding in findings) == [
        *["box-not-numbers"] * 4,
        "image-without-annotation",
        "missing-image",
        *["shape-without-box"] * 2,
        *["unknown-class"] * 3,
        *["unreadable-annotation"] * 2,
    ]
    assert "a.json: shape 1" in {finding.where for finding in findings}


def test_images_are_found_by_the_files_name_and_by_what_it_says(tmp_path: Path) -> None:
    for seed, name in enumerate(("train/images/a.jpg", "val/images/a.jpg", "val/images/b.png")):
        folders.picture(tmp_path / name, seed)
    folders.write(tmp_path / "train/json/a.json", document(RECTANGLE, image="..\\images\\old.jpg"))
    folders.write(tmp_path / "val/json/a.json", document(image="../images/b.png"))
    folders.write(tmp_path / "val/json/renamed.json", document(RECTANGLE, image="..\\images\\b.png"))
    records, findings = read_dataset(tmp_path)
    assert not findings
    assert [(r.file_name, r.split, len(r.objects)) for r in records.images] == [
        ("train/images/a.jpg", "train", 1),
        ("val/images/a.jpg", "val", 0),
        ("val/images/b.png", "val", 1),
    ]


def test_other_json_is_no_labelme(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.json", '{"a": [1, 2]}')
    with pytest.raises(InputError, match=r"Looked for .*LabelMe"):
        read_dataset(tmp_path)


def test_random_rectangles_come_back(tmp_path: Path) -> None:
    boxes = np.random.default_rng(0).uniform(0, 60, (50, 2, 2))
    record, findings = read(tmp_path, *({**RECTANGLE, "points": corners.tolist()} for corners in boxes))
    expected = np.concatenate([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
    np.testing.assert_allclose(record.objects.boxes_G4, expected, rtol=1e-6)
    assert not findings
