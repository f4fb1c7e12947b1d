"""Pascal VOC folders, as they should be and as they should not."""

from pathlib import Path

import pytest

from tests.yolox_core.datasets import folders
from yolox_core.datasets.formats import read_dataset
from yolox_core.datasets.records import Finding

CAT = ("cat", 10, 10, 30, 40)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_boxes_are_taken_as_they_stand_and_classes_sorted_by_name(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [("dog", 1, 2, 3, 4), CAT], "b": []})
    records, findings = read_dataset(tmp_path)
    assert not findings
    assert records.class_names == ("cat", "dog")
    assert records.category_ids == (1, 2)
    first, second = records.images
    assert (first.file_name, first.height, first.width) == ("a.jpg", 60, 80)
    assert first.boxes_G4.tolist() == [[1, 2, 3, 4], [10, 10, 30, 40]]
    assert first.labels_G.tolist() == [1, 0]
    assert second.boxes_G4.shape == (0, 4)
    assert records.path(first).is_file()


@pytest.mark.parametrize("names", [("annotations", "images"), ("ANNOTATIONS", "jpegimages"), (".", ".")])
def test_folder_names_and_image_suffixes_vary(tmp_path: Path, names: tuple[str, str]) -> None:
    folders.picture(tmp_path / names[1] / "a.png")
    folders.voc_xml(tmp_path / names[0] / "a.xml", [CAT])
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.png"] and not findings


def test_lists_give_the_split_and_the_held_out_side_wins(tmp_path: Path) -> None:
    folders.voc(tmp_path, {name: [CAT] for name in "abcde"})
    for name, text in {"train": "a\nb\n", "val": "c 1\n", "test": "b\n", "trainval": "a\nb\nc\nd\n"}.items():
        folders.write(tmp_path / "ImageSets" / "Main" / f"{name}.txt", text)
    folders.write(tmp_path / "ImageSets" / "Main" / "cat_train.txt", "e 1\n")
    records, findings = read_dataset(tmp_path)
    assert [record.split for record in records.images] == ["train", "test", "val", "train", None]
    assert codes(findings) == ["split-conflict"]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"good": [CAT], "text": [("cat", "x", 1, 2, 3), ("cat", "nan", 1, 2, 3), CAT], "broken": []})
    (tmp_path / "Annotations" / "broken.xml").write_text("<annotation><object>")
    folders.voc_xml(tmp_path / "Annotations" / "lost.xml", [CAT])
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["good.jpg", "text.jpg"]
    assert len(records.images[1].boxes_G4) == 1
    assert sorted(codes(findings)) == [
        "box-not-numbers",
        "box-not-numbers",
        "image-without-annotation",
        "missing-image",
        "unreadable-annotation",
    ]
    (lost,) = (finding for finding in findings if finding.code == "missing-image")
    assert lost.where == "Annotations/lost.xml"
    assert all("\n" not in finding.line() for finding in findings)


def test_the_files_own_name_goes_before_filename(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "new.jpg", 1)
    folders.picture(tmp_path / "images" / "other.jpg", 2)
    folders.voc_xml(tmp_path / "annotations" / "new.xml", [CAT], filename="other.jpg")
    folders.voc_xml(tmp_path / "annotations" / "renamed.xml", [CAT], filename="other.jpg")
    records, findings = read_dataset(tmp_path)
    assert [(r.file_name, r.annotation) for r in records.images] == [
        ("new.jpg", "annotations/new.xml"),
        ("other.jpg", "annotations/renamed.xml"),
    ]
    assert not findings


def test_roboflows_voc_has_its_split_in_the_folders(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        folders.picture(tmp_path / split / "same_name.jpg")
        folders.voc_xml(tmp_path / split / "same_name.xml", [CAT])
    records, findings = read_dataset(tmp_path)
    assert {record.file_name: record.split for record in records.images} == {
        "test/same_name.jpg": "test",
        "train/same_name.jpg": "train",
        "valid/same_name.jpg": "val",
    }
    assert not findings
