"""COCO: the layouts of others, and the normalised files of our own."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.atomic_files import write_json
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def image(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": 60, "width": 80}


def box(number: int, image_id: Any, category: Any = 3, bbox: Any = (10, 10, 20, 30)) -> dict[str, Any]:
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": bbox}


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("a.json", "."),
        ("a.json", "images"),
        ("annotations/instances_default.json", "images/default"),
        ("x/y.json", "z"),
    ],
)
def test_images_are_found_where_people_put_them(tmp_path: Path, annotations: str, images: str) -> None:
    folders.picture(tmp_path / images / "a.jpg", 1)
    folders.picture(tmp_path / images / "b.jpg", 2)
    folders.coco_json(tmp_path / annotations, [image(5, "a.jpg"), image(9, "b.jpg")], [box(1, 5, 7)], CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert not findings
    assert records.category_ids == (3, 7) and records.class_names == ("cat", "dog")
    assert [record.image_id for record in records.images] == [5, 9]
    assert records.images[0].objects.boxes_G4.tolist() == [[10, 10, 30, 40]]
    assert records.images[0].objects.labels_G.tolist() == [1]
    assert len(records.images[1].objects.boxes_G4) == 0, "an image without annotations is background"


def test_roboflow(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "animals", "supercategory": "none"}]
    categories += [{"id": 1, "name": "cat", "supercategory": "animals"}]
    for seed, split in enumerate(("train", "valid", "test")):
        folders.picture(tmp_path / split / "a.jpg", seed)
        folders.coco_json(tmp_path / split / "_annotations.coco.json", [image(0, "a.jpg")], [box(0, 0, 1)], categories)
    records, findings = read_dataset(tmp_path)
    assert not findings
    assert [(record.file_name, record.split) for record in records.images] == [
        ("test/a.jpg", "test"),
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "val"),
    ]
    assert len({record.image_id for record in records.images}) == 3
    assert records.class_names == ("cat",), "the group's own name is no class"
    assert all(record.objects.labels_G.tolist() == [0] for record in records.images)


def test_coco_2017(tmp_path: Path) -> None:
    for seed, split in enumerate(("train2017", "val2017")):
        folders.picture(tmp_path / split / f"{seed}.jpg", seed)
        for kind in ("instances", "captions"):
            path = tmp_path / "annotations" / f"{kind}_{split}.json"
            folders.coco_json(path, [image(seed, f"{seed}.jpg")], [box(seed, seed)], CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert [record.split for record in records.images] == ["train", "val"] and not findings
    assert [len(record.objects) for record in records.images] == [1, 1]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    wrong = [box(1, 1, bbox=[1, 2, "x", 4]), box(2, 1, bbox=[1, 2, 3]), box(3, 1, bbox=[1, 2, float("nan"), 4])]
    wrong += [box(4, 99), box(5, 1, 99), box(6, [1]), box(7, 1, bbox=None), "text"]  # type: ignore[list-item]
    images = [image(1, "a.jpg"), image(2, "lost.jpg"), image(1, "a.jpg"), {"id": 4}]
    folders.coco_json(tmp_path / "a.json", images, [*wrong, box(8, 1), box(9, 2)], CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert [len(record.objects) for record in records.images] == [1]
    assert sorted(finding.code for finding in findings) == [
        *["box-not-numbers"] * 4,
        "duplicate-image-id",
        "missing-image",
        *["unknown-class", "unknown-image", "unknown-image"],
        *["unreadable-annotation"] * 2,
    ]


def test_no_annotation_reaches_outside_the_folder(tmp_path: Path) -> None:
    folders.picture(tmp_path / "secret.jpg")
    folders.picture(tmp_path / "set" / "a.jpg")
    names = [image(1, "../secret.jpg"), image(2, str(tmp_path / "secret.jpg")), image(3, "a.jpg")]
    folders.coco_json(tmp_path / "set" / "a.json", names, [], CATEGORIES)
    records, findings = read_dataset(tmp_path / "set")
    assert [record.file_name for record in records.images] == ["a.jpg"]
    assert [finding.code for finding in findings] == ["missing-image"] * 2


@pytest.mark.parametrize(
    "categories", [[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]]
)
def test_a_category_that_means_two_things_is_refused(tmp_path: Path, categories: list[Any]) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.coco_json(tmp_path / "a.json", [image(1, "a.jpg")], [], categories)
    with pytest.raises(InputError, match="twice"):
        read_dataset(tmp_path)


def test_our_files_come_back_as_they_were_and_pycocotools_reads_them(tmp_path: Path) -> None:
    boxes = np.array([[0.1, 0.2, 33.3, 44.4], [5, 5, 1, 1]], np.float32)  # the second inverted: not yet checked
    labels, ignore = np.array([1, 0]), np.array([False, True])
    first = ImageRecord(4, "x/ä.jpg", 60, 80, Objects(boxes, labels, ignore), "test", "a.xml")
    written = DatasetRecords(tmp_path, (Category(3, "cat"), Category(7, "dog")), [first, ImageRecord(5, "b.jpg", 0, 0)])
    write_coco(written, tmp_path / "deep" / "a.json")
    once = (tmp_path / "deep" / "a.json").read_bytes()
    read = read_coco(tmp_path / "deep" / "a.json", tmp_path)
    np.testing.assert_array_equal(read.images[0].objects.boxes_G4, boxes)
    assert [row[1:] for row in read.images[0].objects.rows()] == [(1, False), (0, True)]
    assert (read.images[0].split, read.images[0].annotation, read.images[1].split) == ("test", "a.xml", None)
    assert read.categories == written.categories
    write_coco(read, tmp_path / "deep" / "a.json")
    again = json.loads((tmp_path / "deep" / "a.json").read_bytes())
    assert again["annotations"] == json.loads(once)["annotations"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"], "no partial file stays"
    assert len(COCO(str(tmp_path / "deep" / "a.json")).getAnnIds()) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}'])
def test_a_broken_file_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    folders.write(tmp_path / "a.json", text)
    with pytest.raises(InputError, match=r"a\.json: expected COCO JSON"):
        read_coco(tmp_path / "a.json", tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_coco(tmp_path / "b.json", tmp_path)


@pytest.mark.parametrize(
    ("category", "got"),
    [
        ('{"id": Infinity, "name": "a"}', "a whole-number id and a name, got"),
        ('{"id": 1e999, "name": "a"}', "a whole-number id and a name, got"),
        ('{"id": 1, "name": null}', "a name in plain text, got None"),
        ('{"id": 1, "name": {"en": "a"}}', "a name in plain text, got {'en': 'a'}"),
        ('{"id": 1, "name": "a\\ud800b"}', r"a name in plain text, got 'a\ud800b'"),
        ('"text"', "a whole-number id and a name, got 'text'"),
    ],
)
def test_a_category_without_a_usable_id_or_name_is_refused(tmp_path: Path, category: str, got: str) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.json", f'{{"images": [], "annotations": [], "categories": [{category}]}}')
    with pytest.raises(InputError, match=re.escape(f"a.json: category 1: expected {got}")):
        read_dataset(tmp_path)


def test_a_number_may_be_a_category_name(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.coco_json(tmp_path / "a.json", [image(1, "a.jpg")], [box(1, 1)], [{"id": 3, "name": 7}])
    assert read_dataset(tmp_path)[0].class_names == ("7",)


def test_texts_that_utf8_cannot_hold_do_not_reach_our_files(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        folders.picture(tmp_path / f"{name}.jpg", seed)
    images: list[Any] = [{**image(1, "a.jpg"), "split": "a\ud800b", "annotation": "a\ud800b"}]
    images += [{"id": "i\ud800", "file_name": "b.jpg", "split": ["test"]}, image(3, "lost\ud800.jpg")]
    folders.coco_json(tmp_path / "a.json", images, [box(1, "j\ud800"), box(2, 1)], CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert [record.split for record in records.images] == [None, None]
    assert sorted(finding.code for finding in findings) == ["missing-image", "unknown-image"]
    write_coco(records, tmp_path / "out.json")
    write_json(tmp_path / "findings.json", [asdict(finding) for finding in findings])
    assert [record.file_name for record in read_coco(tmp_path / "out.json", tmp_path).images] == ["a.jpg", "b.jpg"]


def test_an_image_that_links_to_nowhere_is_missing(tmp_path: Path) -> None:
    folders.picture(tmp_path / "x" / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("nowhere.jpg")
    folders.coco_json(tmp_path / "a.json", [image(1, "x/a.jpg"), image(2, "b.jpg")], [box(1, 2)], CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.jpg"]
    assert [(finding.code, finding.action) for finding in findings] == [("missing-image", "its 1 boxes dropped")]


def test_what_a_split_lacks_is_not_taken_from_another(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid")):
        folders.picture(tmp_path / split / f"{'own' if split == 'train' else '0001'}.jpg", seed)
    for split, names in (("train", ("own.jpg", "0001.jpg")), ("valid", ("0001.jpg",))):
        images = [image(number, name) for number, name in enumerate(names)]
        boxes = [box(number, number) for number in range(len(names))]
        folders.coco_json(tmp_path / split / "_annotations.coco.json", images, boxes, CATEGORIES)
    records, findings = read_dataset(tmp_path)
    assert [(record.file_name, record.split) for record in records.images] == [
        ("train/own.jpg", "train"),
        ("valid/0001.jpg", "val"),
    ]
    assert [finding.code for finding in findings] == ["missing-image"]
