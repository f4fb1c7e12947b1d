"""Pascal VOC folders, as they should be and as they should not."""

from pathlib import Path

import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from tests.pipeline.data import folders
from yolox_core.errors import InputError

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
    assert first.objects.boxes_G4.tolist() == [[1, 2, 3, 4], [10, 10, 30, 40]]
    assert first.objects.labels_G.tolist() == [1, 0]
    assert second.objects.boxes_G4.shape == (0, 4)
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
    assert len(records.images[1].objects.boxes_G4) == 1
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


@pytest.mark.parametrize("line", ["my cat 1", "my cat 1.jpg", "  my cat 1  ", "my cat 1  -1", "my cat 1.jpg 0"])
def test_a_listed_name_may_hold_blanks_a_suffix_or_a_flag(tmp_path: Path, line: str) -> None:
    folders.voc(tmp_path, {"my": [CAT], "my cat": [CAT], "my cat 1": [CAT]})
    folders.write(tmp_path / "ImageSets" / "Main" / "test.txt", f"{line}\n")
    records, findings = read_dataset(tmp_path)
    assert {record.file_name: record.split for record in records.images if record.split} == {"my cat 1.jpg": "test"}
    assert not findings


def test_listed_names_that_match_no_image_are_counted(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [CAT], "b": [CAT]})
    folders.write(tmp_path / "ImageSets" / "Main" / "test.txt", "a\nlost one\nb 7\n\n")
    records, findings = read_dataset(tmp_path)
    assert [record.split for record in records.images] == ["test", None]
    assert codes(findings) == ["unknown-name-in-list"]
    assert "got 2 of 3 that match none, first 'lost one'" in findings[0].line()


def test_lists_of_several_years_count_all(tmp_path: Path) -> None:
    for year, name in (("VOC2007", "a"), ("VOC2012", "b")):
        folders.voc(tmp_path / year, {name: [CAT]})
        folders.write(tmp_path / year / "ImageSets" / "Main" / "test.txt", f"{name}\n")
    assert [record.split for record in read_dataset(tmp_path)[0].images] == ["test", "test"]


def test_a_list_that_links_to_nowhere_is_refused(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [CAT]})
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "test.txt").symlink_to("nowhere.txt")
    with pytest.raises(InputError, match=r"Main/test\.txt: expected a text file, got: No such file"):
        read_dataset(tmp_path)


def test_an_image_that_links_to_nowhere_is_missing(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [CAT], "b": [CAT]})
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    (tmp_path / "JPEGImages" / "a.jpg").symlink_to("nowhere.jpg")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["b.jpg"]
    assert [(finding.code, finding.where) for finding in findings] == [("missing-image", "Annotations/a.xml")]


@pytest.mark.parametrize("encoding", ["nonsense", "base64"])
def test_an_unknown_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    folders.voc(tmp_path, {"a": [CAT], "b": [CAT]})
    text = f'<?xml version="1.0" encoding="{encoding}"?><annotation></annotation>'
    folders.write(tmp_path / "Annotations" / "a.xml", text)
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["b.jpg"]
    assert codes(findings) == ["unreadable-annotation", "image-without-annotation"]


def test_of_two_images_with_one_stem_the_named_one_is_meant(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.jpg", "a.png")):
        folders.picture(tmp_path / name, seed)
    folders.voc_xml(tmp_path / "a.xml", [("cat", 1, 2, 30, 40)], filename="a.png")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.png"]
    assert [finding.where for finding in findings] == ["a.jpg"]
