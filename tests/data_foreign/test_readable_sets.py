"""Ids of any type, corners that are swapped: sets whose every link can be followed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data_foreign.reading import boxes, doctor
from tests.pipeline.data import folders


def as_text(value: object) -> object:
    return str(value)


def as_float(value: Any) -> object:
    return float(value)


def as_float_text(value: object) -> object:
    return f"{value}.0"


@pytest.mark.parametrize("of_image", [int, as_text, as_float, as_float_text])
@pytest.mark.parametrize("of_link", [int, as_text, as_float])
def test_coco_ids_are_read_whatever_their_type(
    tmp_path: Path, of_image: Callable[[Any], Any], of_link: Callable[[Any], Any]
) -> None:
    for x in (1, 2):
        folders.picture(tmp_path / f"{x}.jpg", x)
    entries = [{"id": of_image(x), "file_name": f"{x}.jpg", "height": 60, "width": 80} for x in (1, 2)]
    links = [
        {"id": x, "image_id": of_link(x), "category_id": of_link(7), "bbox": [5, 5, 20, 20 + x], "iscrowd": "0"}
        for x in (1, 2)
    ]
    folders.coco_json(tmp_path / "a.json", entries, links, [{"id": of_image(7), "name": "crab"}])
    assert boxes(tmp_path) == {f"{x}.jpg": [("crab", [5, 5, 20, 20 + x])] for x in (1, 2)}


def test_ids_that_differ_only_in_type_stay_apart(tmp_path: Path) -> None:
    for x in (1, 2):
        folders.picture(tmp_path / f"{x}.jpg", x)
    entries = [{"id": 1, "file_name": "1.jpg"}, {"id": "1", "file_name": "2.jpg"}]
    links = [
        {"id": 1, "image_id": 1, "category_id": "3", "bbox": [5, 5, 20, 21]},
        {"id": 2, "image_id": "1", "category_id": 3, "bbox": [5, 5, 20, 22]},
    ]
    folders.coco_json(tmp_path / "a.json", entries, links, [{"id": 3, "name": "crab"}])
    assert boxes(tmp_path) == {f"{x}.jpg": [("crab", [5, 5, 20, 20 + x])] for x in (1, 2)}


def test_corners_that_are_plainly_swapped_are_turned_by_fix(tmp_path: Path) -> None:
    root = tmp_path / "set"
    folders.picture(root / "a.jpg")
    folders.voc_xml(root / "a.xml", [("crab", 40, 30, 10, 8), ("crab", 5, 40, 20, 12), ("crab", 500, 30, 10, 8)])
    said = doctor(root, tmp_path / "fixed")
    assert said.codes["box-inverted"] == 3 and "a.xml: object 1" in said.lines and "corners turned" in said.lines
    assert boxes(tmp_path / "fixed") == {"a.jpg": [("crab", [5, 12, 15, 28]), ("crab", [10, 8, 30, 22])]}
    assert set(doctor(tmp_path / "fixed").codes) == {"few-objects"}


@pytest.mark.parametrize("kind", ["data.yaml", "classes.txt", "obj.names"])
def test_folders_of_yolo_that_number_classes_apart_are_joined_by_name(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "set"
    for split, names in (("train", ("fern", "moss")), ("val", ("moss", "reed", "fern"))):
        folders.picture(root / split / "images" / "a.jpg", len(split))
        folders.write(root / split / "labels" / "a.txt", "0 0.5 0.5 0.5 0.6\n1 0.5 0.5 0.25 0.5\n")
        text = f"names: [{', '.join(names)}]\n" if kind == "data.yaml" else "\n".join(names)
        folders.write(root / split / kind, text)
    large, small = [20, 12, 40, 36], [30, 15, 20, 30]
    assert boxes(root) == {
        "train/images/a.jpg": [("fern", large), ("moss", small)],
        "val/images/a.jpg": [("moss", large), ("reed", small)],
    }
    said = doctor(root, tmp_path / "fixed")
    assert said.codes["class-names-differ"] == 1 and f"val/{kind}: expected the names of train/{kind}" in said.lines
    assert boxes(tmp_path / "fixed") == boxes(root)


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation"])
def test_turned_boxes_of_labelme_have_one_note(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "set"
    folders.picture(root / "a.jpg")
    corners = [[[x, 10], [x + 10, 20], [x, 30], [x - 10, 20]] for x in (20, 50)]
    shapes = [{"label": "crab", "shape_type": kind, "points": points} for points in corners]
    folders.write(root / "a.json", json.dumps({"shapes": shapes, "imagePath": "a.jpg"}))
    assert boxes(root) == {"a.jpg": [("crab", [10, 10, 20, 20]), ("crab", [40, 10, 20, 20])]}
    said = doctor(root)
    assert said.codes == {"box-turned": 1, "few-objects": 1} and "a.json: shape 1" in said.lines
