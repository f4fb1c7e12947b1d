"""Finding out what a folder holds, and saying so where it holds nothing."""

import os
from pathlib import Path

import pytest

from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.errors import InputError


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: expected a folder of annotated images, got no such folder"):
        read_dataset(tmp_path / "nowhere")
    folders.write(tmp_path / "file", "")
    with pytest.raises(InputError, match="got a file"):
        read_dataset(tmp_path / "file")


def test_a_folder_without_annotations_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    for seed in range(3):
        folders.picture(tmp_path / f"{seed}.jpg", seed)
    folders.write(tmp_path / "notes.txt", "hello")
    with pytest.raises(InputError, match=r"found 3 \.jpg, 1 \.txt\. Looked for COCO .*Pascal VOC .*YOLO"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"Looked for Pascal VOC \(\*\.xml with <annotation>\)\.$"):
        read_dataset(tmp_path, "voc")


def test_two_formats_are_refused_until_one_is_named(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [("cat", 1, 2, 30, 40)]})
    folders.write(tmp_path / "labels" / "a.txt", "0 .5 .5 .1 .1\n")
    with pytest.raises(InputError, match=r"got voc \(Annotations/a\.xml\) and yolo \(labels/a\.txt\)\. Say"):
        read_dataset(tmp_path)
    folders.write(tmp_path / "labels" / "b.txt", "0 .5 .5 .1 .1\n")
    with pytest.raises(InputError, match=r"and yolo \(labels/a\.txt and 1 more\)"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, "voc")[0].class_names == ("cat",)
    assert read_dataset(tmp_path, "yolo")[0].class_names == ("class_0",)


def test_a_misspelled_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'coco'"):
        read_dataset(tmp_path, "cocoo")


def test_only_annotations_without_images_are_refused(tmp_path: Path) -> None:
    folders.voc_xml(tmp_path / "Annotations" / "a.xml", [("cat", 1, 2, 3, 4)])
    with pytest.raises(InputError, match=r"expected annotated images.*First: Annotations/a\.xml"):
        read_dataset(tmp_path)


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [("cat", 1, 2, 30, 40)]})
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(read_dataset(tmp_path)[0].images) == 1


@pytest.mark.parametrize("name", [b"b\xff.jpg", b"folder\xff/b.jpg"])
def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path, name: bytes) -> None:
    folders.voc(tmp_path, {"a": [("cat", 1, 2, 30, 40)]})
    folders.write(tmp_path / os.fsdecode(name), "")
    with pytest.raises(InputError, match=r"expected file names in UTF-8, got (b|folder)\\xff.*\. Rename") as refused:
        read_dataset(tmp_path)
    str(refused.value).encode("utf-8")


def test_a_file_name_of_several_lines_stays_on_one_in_a_finding(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [("cat", 1, 2, 30, 40)]})
    folders.picture(tmp_path / "JPEGImages" / "two\nlines \x1b[31m ä.jpg", 1)
    findings = read_dataset(tmp_path)[1]
    assert [finding.where for finding in findings] == [r"JPEGImages/two\nlines \x1b[31m ä.jpg"]
    assert len(findings[0].line().splitlines()) == 1
