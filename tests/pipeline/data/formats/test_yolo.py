"""YOLO txt folders, as they should be and as they should not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.errors import InputError

LINE = "1 0.5 0.5 0.25 0.5\n"  # in an 80x60 image: [30, 15, 50, 45]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.jpg", "labels/a.txt"),
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("obj_train_data/a.jpg", "obj_train_data/a.txt"),
        ("a.jpg", "labels/a.txt"),
    ],
)
def test_labels_are_found_where_people_put_them(tmp_path: Path, image: str, label: str) -> None:
    folders.picture(tmp_path / image, 1)
    folders.picture((tmp_path / image).with_stem("empty"), 2)
    folders.write(tmp_path / label, LINE)
    folders.write(tmp_path / "classes.txt", "cat\ndog\n")
    records, findings = read_dataset(tmp_path)
    assert [finding.code for finding in findings] == ["image-without-labels"]
    assert records.class_names == ("cat", "dog") and records.category_ids == (1, 2)
    found, background = records.images
    assert found.objects.boxes_G4.tolist() == [[30, 15, 50, 45]] and found.objects.labels_G.tolist() == [1]
    assert len(background.objects) == 0
    assert found.split == ("train" if "train/" in image and "obj" not in image else None)


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}", "{1: dog, 0: cat}"])
def test_data_yaml_names_the_classes_and_the_splits(tmp_path: Path, names: str) -> None:
    for seed, name in enumerate("abc"):
        folders.picture(tmp_path / "images" / name / f"{name}.jpg", seed)
        folders.write(tmp_path / "labels" / name / f"{name}.txt", LINE)
    folders.write(tmp_path / "held_out.txt", "./images/c/c.jpg\n")
    text = f"path: /home/someone\ntrain: ../images/a\nval: [images/b]\ntest: held_out.txt\nnames: {names}\n"
    folders.write(tmp_path / "data.yaml", text)
    records, findings = read_dataset(tmp_path)
    assert records.class_names == ("cat", "dog") and not findings
    assert [record.split for record in records.images] == ["train", "val", "test"]


def test_a_polygon_counts_as_its_bounding_box(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", "0 0.1 0.2 0.5 0.1 0.3 0.6\n")
    records, findings = read_dataset(tmp_path)
    np.testing.assert_allclose(records.images[0].objects.boxes_G4, [[8, 6, 40, 36]], rtol=1e-6)
    assert [finding.code for finding in findings] == ["no-class-names"]
    assert records.class_names == ("class_0",)


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "images" / "broken.jpg", "no image")
    wrong = "0 a b c d\n0 nan 0 1 1\n0 1 1\n0 .1 .1 .1 .1 .9\n9 .5 .5 .1 .1\n-1 .5 .5 .1 .1\n0.5 .5 .5 .1 .1\n\n"
    folders.write(tmp_path / "labels" / "a.txt", wrong + LINE)
    folders.write(tmp_path / "labels" / "lost.txt", LINE)
    folders.write(tmp_path / "obj.names", "cat\ndog\n")
    records, findings = read_dataset(tmp_path)
    assert [len(record.objects) for record in records.images] == [1]
    assert sorted(finding.code for finding in findings) == [
        *["box-not-numbers"] * 4,
        "missing-image",
        *["unknown-class"] * 3,
        "unreadable-image",
    ]
    assert findings[0].where == "labels/a.txt: line 1"


def test_a_class_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", LINE)
    folders.write(tmp_path / "classes.txt", "cat\ncat\n")
    with pytest.raises(InputError, match="'cat' twice"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["test", "classes", "readme_1"])
def test_labels_may_be_called_like_a_list(tmp_path: Path, name: str) -> None:
    for image in (name, "a"):
        folders.picture(tmp_path / "images" / f"{image}.jpg", len(image))
        folders.write(tmp_path / "labels" / f"{image}.txt", LINE)
    folders.write(tmp_path / "data.yaml", "names: [cat, dog]\n")
    records, findings = read_dataset(tmp_path)
    assert [len(record.objects) for record in records.images] == [1, 1] and not findings


def test_names_beside_the_labels_are_no_labels(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", LINE)
    folders.write(tmp_path / "labels" / "classes.txt", "cat\ndog\n")  # as LabelImg puts them
    records, findings = read_dataset(tmp_path)
    assert records.class_names == ("cat", "dog") and not findings


@pytest.mark.parametrize("lost", ["classes.txt", "train.txt"])
def test_a_list_that_links_to_nowhere_is_refused(tmp_path: Path, lost: str) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", LINE)
    if lost == "train.txt":
        folders.write(tmp_path / "data.yaml", "train: train.txt\nnames: [cat, dog]\n")
    (tmp_path / lost).symlink_to("nowhere.txt")
    with pytest.raises(InputError, match=rf"{lost}: expected a text file, got: No such file"):
        read_dataset(tmp_path)


def test_an_image_that_links_to_nowhere_is_missing(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    for name in ("b.jpg", "background.jpg"):
        (tmp_path / "images" / name).symlink_to("nowhere.jpg")
    for name in "ab":
        folders.write(tmp_path / "labels" / f"{name}.txt", LINE)
    folders.write(tmp_path / "classes.txt", "cat\ndog\n")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.jpg"]
    assert [(finding.code, finding.where, finding.action) for finding in findings] == [
        ("missing-image", "images/b.jpg", "image and its 1 boxes left out"),
        ("missing-image", "images/background.jpg", "image and its 0 boxes left out"),
    ]


@pytest.mark.parametrize("text", ["names: " + "[" * 5000, "names: [cat\nnc: 1\n"])
def test_a_data_yaml_that_cannot_be_read_is_found(tmp_path: Path, text: str) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", LINE)
    folders.write(tmp_path / "data.yaml", text)
    findings = read_dataset(tmp_path)[1]
    assert [finding.code for finding in findings] == ["unreadable-annotation", "no-class-names"]
    assert "\\n" not in findings[0].line(), "YAML's own message has several lines"


def test_a_class_name_that_utf8_cannot_hold_is_refused(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", LINE)
    folders.write(tmp_path / "data.yaml", 'names: [cat, "a\\ud800b"]\n')
    with pytest.raises(InputError, match=r"expected class names in UTF-8, got 'a\\ud800b'"):
        read_dataset(tmp_path)
