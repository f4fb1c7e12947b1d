"""Hugging Face's imagefolder: metadata.jsonl or metadata.csv, in the forms that people write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.formats.convert import convert
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.errors import InputError

BOX = {"bbox": [[10, 20, 20, 30]], "categories": ["cat"]}


def lines(*entries: Any) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def read(root: Path, text: str, name: str = "metadata.jsonl") -> tuple[list[list[float]], list[str], list[str]]:
    """Boxes, classes and finding codes of the one image a.jpg, 80 x 60 px."""
    folders.picture(root / "a.jpg")
    folders.write(root / name, text)
    records, findings = read_dataset(root)
    (record,) = records.images
    assert record.file_name == "a.jpg"
    names = [records.class_names[label] for label in record.objects.labels_G]
    return record.objects.boxes_G4.tolist(), names, [finding.code for finding in findings]


@pytest.mark.parametrize(
    "entry",
    [
        {"file_name": "a.jpg", "objects": BOX},
        {"file_name": "./a.jpg", "objects": {"bboxes": [[10.0, "20", 20, 30]], "labels": ["cat"]}},
        {"file_name": "a.jpg", "objects": {"bbox": [[10, 20, 20, 30]], "category": " cat "}},
        {"file_name": "a.jpg", "objects": [{"bbox": [10, 20, 20, 30], "label": "cat"}]},
        {"image_file_name": "a.jpg", "text": "a cat", "objects": {**BOX, "area": [600], "id": [1], "iscrowd": [0]}},
        {"file_name": "a.jpg", "bbox": [[10, 20, 20, 30]], "categories": ["cat"]},
    ],
)
def test_one_box_however_it_is_written(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert read(tmp_path, lines(entry)) == ([[10, 20, 30, 50]], ["cat"], [])


def test_a_table_holds_the_objects_as_json(tmp_path: Path) -> None:
    objects = json.dumps(BOX).replace('"', '""')
    table = f'\ufefffile_name,text,objects\r\na.jpg,"a, b","{objects}"\r\n'
    assert read(tmp_path, table, "metadata.csv") == ([[10, 20, 30, 50]], ["cat"], [])


def test_numbers_are_the_ids_and_are_said_to_have_no_names(tmp_path: Path) -> None:
    entry = {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]] * 3, "categories": [10, 2, 2.0]}}
    assert read(tmp_path, lines(entry))[1:] == (["10", "2", "2"], ["no-class-names"])
    categories = read_dataset(tmp_path)[0].categories
    assert [(one.category_id, one.name) for one in categories] == [(2, "2"), (10, "10")]


def test_the_readme_names_the_numbers(tmp_path: Path) -> None:
    names = "              names:\n                '0': mask\n                '1': glove\n                '2': apron\n"
    head = "---\ndataset_info:\n  features:\n  - name: objects\n    struct:\n    - name: categories\n      sequence:\n"
    folders.write(tmp_path / "README.md", f"{head}        class_label:\n{names}---\n# A set\n")
    entry = {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [1]}}
    assert read(tmp_path, lines(entry))[1:] == (["glove"], [])
    categories = read_dataset(tmp_path)[0].categories
    assert [(one.category_id, one.name) for one in categories] == [(0, "mask"), (1, "glove"), (2, "apron")]


def test_each_folder_of_a_split_has_its_own(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "validation", "test")):
        folders.picture(tmp_path / split / "0001.jpg", seed)
        folders.write(tmp_path / split / "metadata.jsonl", lines({"file_name": "0001.jpg", "objects": BOX}))
    records, findings = read_dataset(tmp_path)
    splits = {"train/0001.jpg": "train", "validation/0001.jpg": "val", "test/0001.jpg": "test"}
    assert {image.file_name: image.split for image in records.images} == splits
    assert findings == []


def test_one_file_above_the_folders_of_splits(tmp_path: Path) -> None:
    names = ("train/a.jpg", "test/a.jpg")
    for seed, name in enumerate(names):
        folders.picture(tmp_path / name, seed)
    folders.write(tmp_path / "metadata.jsonl", lines(*({"file_name": name, "objects": BOX} for name in names)))
    records, _ = read_dataset(tmp_path)
    assert {image.file_name: image.split for image in records.images} == {"train/a.jpg": "train", "test/a.jpg": "test"}


def test_an_image_without_objects_is_background_and_one_without_an_entry_is_left_out(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        folders.picture(tmp_path / f"{name}.jpg", seed)
    empty = {"file_name": "b.jpg", "objects": {"bbox": [], "categories": []}}
    folders.write(
        tmp_path / "metadata.jsonl", lines({"file_name": "a.jpg", "objects": BOX}, empty, {"file_name": "c.jpg"})
    )
    records, findings = read_dataset(tmp_path)
    assert [len(image.objects) for image in records.images] == [1, 0, 0]
    assert [(finding.code, finding.where) for finding in findings] == [("image-without-annotation", "d.jpg")]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    boxes = [[1, 2, 3, 4], [1, 2, 3], [1, 2, "x", 4], [0, 0, 9, 9], [5, 5, 9, 9]]
    objects = {"bbox": boxes, "categories": ["cat", "cat", "cat", -1, None]}
    text = lines({"file_name": "a.jpg", "objects": objects})
    text += '{"file_name": "a.jpg", "obj\n[1]\n\n' + lines(
        {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": []}},
        {"file_name": "lost.jpg", "objects": BOX},
        {"file_name": "a.jpg", "objects": BOX},
        {"objects": BOX},
    )
    boxes_read, names, codes = read(tmp_path, text)
    assert (boxes_read, names) == ([[1, 2, 4, 6]], ["cat"])
    expected = ["box-not-numbers"] * 2 + ["unknown-class"] * 2 + ["unreadable-annotation"] * 4
    assert sorted(codes) == sorted([*expected, "missing-image", "duplicate-annotation"])
    places = [finding.where for finding in read_dataset(tmp_path)[1]]
    assert "metadata.jsonl: line 1: object 2" in places
    assert "metadata.jsonl: line 2" in places


def test_a_text_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    text = lines({"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["K\u00e4fer"]}})
    (tmp_path / "metadata.jsonl").write_bytes(text.replace("\\u00e4", "\u00e4").encode("latin-1"))
    with pytest.raises(InputError, match=r"metadata\.jsonl: .*not UTF-8"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, encoding="latin-1")[0].class_names == ("K\u00e4fer",)


def test_coco_beside_it_is_read_as_coco(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "height": 60, "width": 80}
    folders.coco_json(tmp_path / "a.json", [image], [], [{"id": 1, "name": "x"}])
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "metadata.jsonl", lines({"file_name": "a.jpg", "objects": BOX}))
    assert read_dataset(tmp_path)[0].class_names == ("x",)
    assert read_dataset(tmp_path, "imagefolder")[0].class_names == ("cat",)


@pytest.mark.parametrize("categories", [["b", "a", "b"], [7, 3, 7]])
def test_through_coco_and_back_boxes_ids_and_names_are_kept(tmp_path: Path, categories: list[Any]) -> None:
    rng = np.random.default_rng(3)
    entries = []
    for number, split in enumerate(("train", "train", "val", "test")):
        folders.picture(tmp_path / "set" / split / f"{number}.png", number)
        corners_px = np.sort(rng.uniform(0, 60, (3, 2, 2)), axis=1)
        boxes_px = np.concatenate([corners_px[:, 0], corners_px[:, 1] - corners_px[:, 0]], axis=1)
        objects = {"bbox": boxes_px.round(3).tolist(), "categories": categories}
        entries.append({"file_name": f"{split}/{number}.png", "image_id": 40 + number, "objects": objects})
    folders.write(tmp_path / "set" / "metadata.jsonl", lines(*entries))
    convert(tmp_path / "set", tmp_path / "coco", "coco")
    before, after = read_dataset(tmp_path / "set")[0], read_dataset(tmp_path / "coco")[0]
    assert after.categories == before.categories
    assert [(one.image_id, one.file_name, one.split) for one in after.images] == [
        (one.image_id, one.file_name, one.split) for one in before.images
    ]
    assert [one.image_id for one in sorted(after.images, key=lambda one: one.image_id)] == [40, 41, 42, 43]
    for one, other in zip(before.images, after.images, strict=True):
        np.testing.assert_allclose(other.objects.boxes_G4, one.objects.boxes_G4, atol=0.01)
        np.testing.assert_array_equal(other.objects.labels_G, one.objects.labels_G)
