"""Which picture an annotation is of, which files are pictures, and which pictures are no data."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data.checks.catalog import severity
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.image_match import match
from pipeline.data.parsing.matched_image import Match
from tests.data_foreign.reading import boxes, copied, doctor, images
from tests.data_foreign.writers import BY_WRITTEN_NAME, WRITERS, XYWH, Writer, write_labelme, write_voc, write_yolo
from tests.pipeline.data import folders


def picture(path: Path, kind: str = "", seed: int = 0) -> None:
    """An image whose suffix OpenCV may not write, as JPEG's or PNG's content where no kind is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folders.picture(path.with_suffix(".png"), seed)
    with Image.open(path.with_suffix(".png")) as image:
        data = io.BytesIO()
        image.convert("RGB").save(data, kind or "PNG")
    path.with_suffix(".png").unlink()
    path.write_bytes(data.getvalue())


def found(root: Path) -> tuple[dict[str, Any], list[Finding]]:
    """Where the boxes went, by the image's path from the root."""
    records, findings = read_dataset(root)
    at = {image.file_name: records.path(image).relative_to(root).as_posix() for image in records.images}
    return {at[name]: objects for name, objects in boxes(root).items()}, findings


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


# the cases


def test_drawn_copies_beside_the_images_are_not_taken(tmp_path: Path) -> None:
    root = copied("voc_drawn_copies_beside", tmp_path)
    at, findings = found(root)
    assert at == {"JPEGImages/farm1.jpg": [("hen", XYWH)], "JPEGImages/farm2.jpg": [("fox", XYWH)]}
    assert [(finding.code, finding.where) for finding in findings] == [("pictures-aside", "AnnotationsVisualization")]


def test_masks_that_lie_nearer_are_not_taken(tmp_path: Path) -> None:
    at, findings = found(copied("voc_masks_nearer_than_images", tmp_path))
    assert at == {"images/pet1.jpg": [("cat", XYWH)], "images/pet2.jpg": [("dog", XYWH)]}
    assert [(finding.code, finding.where) for finding in findings] == [("pictures-aside", "annotations/trimaps")]


def test_pictures_of_every_kind_that_the_decoder_opens_are_read(tmp_path: Path) -> None:
    said = doctor(copied("image_file_of_unread_kind", tmp_path))
    assert said.boxes == {"sign": 3} and said.summary["images"] == 3


def test_a_gif_has_the_labels_beside_it(tmp_path: Path) -> None:
    root = copied("label_beside_unread_image", tmp_path)
    assert {name: len(objects) for name, objects in boxes(root).items()} == {"a.jpg": 1, "b.gif": 1}


def test_labels_meet_their_images_whatever_the_case(tmp_path: Path) -> None:
    root = copied("yolo_names_in_other_case", tmp_path)
    assert {name: len(objects) for name, objects in boxes(root).items()} == {"FIG1.JPG": 1, "FIG2.JPG": 1}
    assert codes(read_dataset(root)[1]) <= {"split-conflict"}, "train and val are one folder"


def test_plots_and_masks_are_no_background(tmp_path: Path) -> None:
    root = copied("yolo_other_pictures_in_the_folder", tmp_path)
    assert set(images(root)) == {"a.jpg", "b.jpg"}
    findings = read_dataset(root)[1]
    aside = [one.where for one in findings if one.code == "pictures-aside"]
    assert aside == ["masks", "runs/detect/train"] and codes(findings) <= {"pictures-aside", "split-conflict"}


def test_a_refusal_says_the_worst_first(tmp_path: Path) -> None:
    said = doctor(copied("refusal_names_a_note_as_cause", tmp_path))
    assert said.code == 2 and "First: a.json: image 1: expected an image 'pictures/p1.png', got none" in said.lines


CASES = (
    "voc_drawn_copies_beside",
    "voc_masks_nearer_than_images",
    "image_file_of_unread_kind",
    "label_beside_unread_image",
    "yolo_names_in_other_case",
    "yolo_other_pictures_in_the_folder",
)


@pytest.mark.parametrize("case", CASES)
def test_the_mended_copy_is_clean(tmp_path: Path, case: str) -> None:
    first = doctor(copied(case, tmp_path), tmp_path / "fixed")
    again = doctor(tmp_path / "fixed")
    assert again.boxes == first.boxes and again.summary["images"] == first.summary["images"]
    assert set(again.codes) <= {"few-objects", "image-similar"}


# the picture that is written wins


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
@pytest.mark.parametrize("aside", ["AnnotationsVisualization", "masks", "notes/trimaps", "SegmentationClass"])
@pytest.mark.parametrize("home", ["images", "JPEGImages", "photos"])
def test_a_copy_in_a_folder_of_masks_or_drawings_is_not_taken(tmp_path: Path, name: str, aside: str, home: str) -> None:
    WRITERS[name](tmp_path, "a.png")
    folders.picture(tmp_path / home / "a.png", 1)
    folders.picture(tmp_path / aside / "a.png", 2)
    at, _ = found(tmp_path)
    assert at == {f"{home}/a.png": [("cat", XYWH)]}


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_the_written_path_goes_before_the_nearer_image(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "cam2/a.png")
    for seed, folder in enumerate(("notes/cam1", "cam2", "cam3", "old/cam3")):
        folders.picture(tmp_path / folder / "a.png", seed)
    assert list(found(tmp_path)[0]) == ["cam2/a.png"]


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_the_tail_of_a_path_of_elsewhere_tells_images_of_one_name_apart(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "/mnt/one/data/cam2/a.png")
    for seed, folder in enumerate(("x/cam1", "x/cam2")):
        folders.picture(tmp_path / folder / "a.png", seed)
    assert list(found(tmp_path)[0]) == ["x/cam2/a.png"]


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_of_two_images_of_one_name_that_differ_in_nothing_both_are_named(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "a.png")
    for seed, folder in enumerate(("cam1", "cam2")):
        folders.picture(tmp_path / folder / "a.png", seed)
    said = doctor(tmp_path)
    assert said.code == 2 and "cam1/a.png and cam2/a.png" in said.lines


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_names_meet_whatever_their_case(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "Sub/FIG.JPG")
    folders.picture(tmp_path / "sub" / "fig.jpg")
    assert list(found(tmp_path)[0]) == ["sub/fig.jpg"]


@pytest.mark.parametrize("name", ["coco", "csv", "label_studio", "cvat", "imagefolder"])
def test_an_image_of_another_suffix_than_is_written_is_taken_and_said(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "a.bmp")
    folders.picture(tmp_path / "images" / "a.jpg")
    at, findings = found(tmp_path)
    assert list(at) == ["images/a.jpg"]
    assert [finding.what for finding in findings] == ["expected an image called a.bmp, got images/a.jpg"]


@pytest.mark.parametrize("write", [write_voc, write_labelme])
def test_the_written_name_goes_before_the_files_own_and_both_are_named(tmp_path: Path, write: Writer) -> None:
    write(tmp_path, "b.png")
    note = next((tmp_path / "notes").iterdir())
    note.rename(note.with_stem("a"))
    for seed, name in enumerate(("a.png", "b.png")):
        folders.picture(tmp_path / "images" / name, seed)
    at, findings = found(tmp_path)
    assert list(at) == ["images/b.png"]
    (doubt,) = (finding for finding in findings if finding.code == "image-doubtful")
    assert "images/a.png" in doubt.what and "images/b.png" in doubt.what


@pytest.mark.parametrize("write", [write_voc, write_labelme])
def test_a_name_that_every_file_carries_says_nothing(tmp_path: Path, write: Writer) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        write(tmp_path, "a.png")
        note = next(path for path in (tmp_path / "notes").iterdir() if path.stem == "a")
        if name != "a":
            note.rename(note.with_stem(name))
            write(tmp_path, "a.png")
        folders.picture(tmp_path / "images" / f"{name}.png", seed)
    at, findings = found(tmp_path)
    assert list(at) == ["images/a.png", "images/b.png", "images/c.png"] and not findings


def test_of_two_images_of_one_label_file_the_first_is_taken_and_both_are_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, "a.jpg")
    for seed, name in enumerate(("a.jpg", "a.png")):
        folders.picture(tmp_path / "images" / name, seed)
    at, findings = found(tmp_path)
    assert list(at) == ["images/a.jpg"] and set(images(tmp_path)) == {"a.jpg"}
    assert [finding.what for finding in findings] == ["expected one image, got images/a.jpg and images/a.png"]


def test_another_splits_image_is_said_to_be_one(tmp_path: Path) -> None:
    folders.picture(tmp_path / "test" / "images" / "1.jpg")
    listing = Listing.of(tmp_path)
    assert match(listing, "instances_train.json", "1.jpg") == Match(got="test/images/1.jpg, of another split")
    assert match(listing, "train/1.xml", "", "1").image is None
    assert match(listing, "notes/test_1.xml", "1.jpg", "test_1").image == "test/images/1.jpg"


# no label vanishes

KINDS = {".gif": "GIF", ".ppm": "PPM", ".jfif": "JPEG", ".avif": "AVIF", ".jp2": "JPEG2000"}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("suffix", KINDS)
def test_each_reader_takes_each_kind_of_picture(tmp_path: Path, name: str, suffix: str) -> None:
    WRITERS[name](tmp_path, f"a{suffix}")
    picture(tmp_path / "images" / f"a{suffix}", KINDS[suffix])
    said = doctor(tmp_path)
    assert said.boxes == {"cat": 1} and "image-mislabelled" not in said.codes


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("suffix", [".heic", ".tga", ".DNG"])
def test_a_picture_of_a_kind_that_is_not_read_is_named(tmp_path: Path, name: str, suffix: str) -> None:
    WRITERS[name](tmp_path, f"a{suffix}")
    folders.write(tmp_path / "images" / f"a{suffix}", "pixels")
    said = doctor(tmp_path)
    assert said.code == 2 and f"images/a{suffix}, of a kind that is not read" in said.lines


def test_labels_beside_pictures_that_are_not_read_are_lost_by_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.heic", "c.heic"):
        folders.write(tmp_path / Path(name).with_suffix(".txt"), "0 0.5 0.5 0.2 0.2\n")
        folders.write(tmp_path / name, "pixels")
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "alone.txt", "0 0.5 0.5 0.2 0.2\n")
    folders.write(tmp_path / "notes.txt", "5 pictures of cups, taken in May\n")
    lost = {one.where: one.what for one in read_dataset(tmp_path)[1] if one.code == "missing-image"}
    assert set(lost) == {"b.txt", "c.txt", "alone.txt"}
    assert "b.heic, of a kind that is not read" in lost["b.txt"]


@pytest.mark.parametrize("folder", ["labels", "Labels", "LABELS"])
@pytest.mark.parametrize("image", ["images/Train/A.JPG", "IMAGES/train/a.jpeg"])
def test_yolo_folders_meet_whatever_their_case(tmp_path: Path, folder: str, image: str) -> None:
    folders.picture(tmp_path / image)
    folders.write(tmp_path / folder / "train" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    assert list(found(tmp_path)[0]) == [image]


def test_labels_called_like_a_list_count_by_what_they_hold(tmp_path: Path) -> None:
    write_yolo(tmp_path, "a.jpg")
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "test.txt", "0 0.5 0.5 0.2 0.2\n")
    folders.write(tmp_path / "labels" / "train.txt", "images/a.jpg\n")
    lost = [one.where for one in read_dataset(tmp_path)[1] if one.code == "missing-image"]
    assert lost == ["labels/test.txt"]


def test_labels_in_a_folder_of_another_split_than_their_only_image(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    assert list(found(tmp_path)[0]) == ["images/a.jpg"]


@pytest.mark.parametrize("label", ["labels/a.jpg.txt", "images/a.jpg.txt", "labels/A.JPG.txt"])
def test_labels_called_by_the_whole_name_of_their_image(tmp_path: Path, label: str) -> None:
    for seed, name in enumerate(("a.jpg", "a.png")):
        folders.picture(tmp_path / "images" / name, seed)
    folders.write(tmp_path / label, "0 0.5 0.5 0.2 0.2\n")
    assert list(found(tmp_path)[0]) == ["images/a.jpg"]


# pictures that are no data


def yolo_flat(root: Path) -> None:
    for seed, name in enumerate("ab"):
        folders.picture(root / "shots" / f"{name}.jpg", seed)
        folders.write(root / "shots" / f"{name}.txt", "0 0.5 0.5 0.2 0.2\n")
    folders.write(root / "classes.txt", "cat\n")


def test_where_labels_lie_beside_images_pictures_elsewhere_are_no_data(tmp_path: Path) -> None:
    write_yolo(tmp_path, "a.jpg")
    for seed, name in enumerate(("images/a.jpg", "images/night/empty.jpg", "new/b.jpg", "new/c.jpg", "cover.png")):
        folders.picture(tmp_path / name, seed)
    findings = read_dataset(tmp_path)[1]
    assert set(images(tmp_path)) == {"a.jpg", "night/empty.jpg"}
    assert {(one.code, one.where) for one in findings} == {
        ("pictures-aside", "new"),
        ("pictures-aside", "."),
        ("folder-without-labels", "images/night"),
    }


def test_elsewhere_pictures_without_labels_are_counted_by_folder(tmp_path: Path) -> None:
    yolo_flat(tmp_path)
    for seed, name in enumerate(("shots/c.jpg", "others/d.jpg", "others/e.jpg")):
        folders.picture(tmp_path / name, seed)
    findings = read_dataset(tmp_path)[1]
    assert len(images(tmp_path)) == 5
    assert {(one.code, one.where, one.what) for one in findings} == {
        ("image-without-labels", "shots", "1 of 3 images have no label file, shots/c.jpg is one"),
        ("folder-without-labels", "others", "2 of 2 images have no label file, others/d.jpg is one"),
    }
    assert severity("folder-without-labels") == "warning"


def test_masks_beside_a_flat_folder_are_no_background(tmp_path: Path) -> None:
    yolo_flat(tmp_path)
    folders.picture(tmp_path / "shots" / "masks" / "a.png")
    assert set(images(tmp_path)) == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_masks_and_other_folders_without_annotation_are_a_line_each(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "a.png")
    for seed, image in enumerate(("images/a.png", "images/b.png", "panoptic/1.png", "panoptic/2.png", "old/1.png")):
        folders.picture(tmp_path / image, seed)
    folders.picture(tmp_path / "old" / "2.png", 9)
    findings = read_dataset(tmp_path)[1]
    assert sorted((one.code, one.where) for one in findings) == [
        ("image-without-annotation", "images/b.png"),
        ("image-without-annotation", "old"),
        ("pictures-aside", "panoptic"),
    ]
