"""Sets as their publishers leave them: repositories as cloned, results beside data, lists and folders by other names.

Each was read wrong without a word, or refused, when sets of these kinds were made by hand and tried.
"""

import json
import unicodedata
from pathlib import Path

import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.split_names import split_of_file, split_of_folders
from tests.data_foreign.reading import boxes, doctor, images
from tests.data_foreign.writers import BY_WRITTEN_NAME, WRITERS, XYWH
from tests.pipeline.data import folders

LINE = "0 0.3125 0.3166667 0.375 0.3666667\n"
CAT = ("cat", XYWH)


def yolo(root: Path, *names: str, labels: str = "labels", pictures: str = "images") -> None:
    """Pictures with one label each; a name may have folders, which lie in both."""
    for seed, name in enumerate(names):
        folders.picture(root / pictures / f"{name}.jpg", seed)
        folders.write(root / labels / f"{name}.txt", LINE)


def classes(root: Path) -> tuple[str, ...]:
    return read_dataset(root)[0].class_names


def codes(root: Path) -> set[str]:
    return {finding.code for finding in read_dataset(root)[1]}


# names of classes in a repository that brings those of other sets


@pytest.mark.parametrize("home", ["data", "a/b"])
def test_the_names_are_those_of_the_data_yaml_that_names_images_here(tmp_path: Path, home: str) -> None:
    yolo(tmp_path / "dataset", "train/a", "val/b")
    for other, names in (("coco128", "[person, car]"), ("VOC", "[aeroplane]")):
        text = f"path: ../datasets/{other}\ntrain: images/train2017\nval: images/train2017\nnames: {names}\n"
        folders.write(tmp_path / "data" / f"{other}.yaml", text)
    own = "path: dataset\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"
    folders.write(tmp_path / home / "mine.yaml", own)
    assert classes(tmp_path) == ("cat", "dog") and codes(tmp_path) == set()
    assert images(tmp_path) == {"train/a.jpg": "train", "val/b.jpg": "val"}


def test_of_several_data_yaml_in_one_folder_that_differ_one_counts_and_the_other_is_named(tmp_path: Path) -> None:
    yolo(tmp_path, "a")
    for name, names in (("one", "[cat]"), ("two", "[dog]")):
        folders.write(tmp_path / f"{name}.yaml", f"train: images\nnames: {names}\n")
    assert classes(tmp_path) == ("cat",)
    (differ,) = [finding for finding in read_dataset(tmp_path)[1] if finding.code == "class-names-differ"]
    assert differ.where == "two.yaml" and "one.yaml" in differ.what


def test_the_names_are_those_that_the_obj_data_of_these_images_names(tmp_path: Path) -> None:
    yolo(tmp_path, "obj/a", "obj/b", labels="data", pictures="data")
    folders.write(tmp_path / "data" / "coco.names", "person\n")
    folders.write(tmp_path / "data" / "obj.names", "cat\n")
    coco = "train = /data/coco/trainvalno5k.txt\nvalid = coco_testdev\nnames = data/coco.names\n"
    folders.write(tmp_path / "cfg" / "coco.data", coco)
    own = "train = data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\n"
    folders.write(tmp_path / "data" / "obj.data", own)
    folders.write(tmp_path / "data" / "train.txt", "data/obj/a.jpg\n")
    folders.write(tmp_path / "data" / "test.txt", "data/obj/b.jpg\n")
    assert classes(tmp_path) == ("cat",) and codes(tmp_path) == set()
    assert images(tmp_path) == {"a.jpg": "train", "b.jpg": "val"}


def test_names_of_fiftyones_open_images_are_read(tmp_path: Path) -> None:
    folders.picture(tmp_path / "train" / "data" / "a.jpg")
    rows = "ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/01yrx,0.125,0.5,0.13333333,0.5\n"
    folders.write(tmp_path / "train" / "labels" / "detections.csv", rows)
    folders.write(tmp_path / "train" / "metadata" / "classes.csv", "/m/01yrx,cat\n")
    assert boxes(tmp_path) == {"a.jpg": [CAT]}


# a model's results beside the data


def test_labels_in_a_folder_of_results_are_left_out_and_reported(tmp_path: Path) -> None:
    yolo(tmp_path, "train/a", "val/b")
    folders.write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames: [cat]\n")
    yolo(tmp_path / "runs" / "detect" / "predict", "b", "bus", pictures=".")
    folders.write(tmp_path / "runs" / "detect" / "val" / "labels" / "b.txt", f"{LINE.strip()} 0.9\n")
    assert images(tmp_path) == {"train/a.jpg": "train", "val/b.jpg": "val"}
    said = doctor(tmp_path, tmp_path.with_name("fixed"))
    assert set(said.codes) == {"few-objects", "labels-of-results", "pictures-aside"}
    assert said.codes["labels-of-results"] == 2
    assert "runs/detect/predict/labels/b.txt: expected labels of the data set" in said.lines
    assert set(doctor(tmp_path.with_name("fixed")).codes) == {"few-objects"}


def test_results_without_pictures_label_no_image_of_the_data(tmp_path: Path) -> None:
    yolo(tmp_path, "a")
    folders.picture(tmp_path / "images" / "bare.jpg", 7)
    folders.write(tmp_path / "runs" / "detect" / "val" / "labels" / "bare.txt", LINE)
    assert sorted(boxes(tmp_path)) == ["a.jpg"] and "labels-of-results" in codes(tmp_path)


@pytest.mark.parametrize("root", ["output", "results/train", "runs/monday", "fish_seg"])
def test_a_set_that_lies_in_a_folder_called_so_is_data(tmp_path: Path, root: str) -> None:
    yolo(tmp_path / root, "a", "b")
    assert len(boxes(tmp_path)) == 2 and codes(tmp_path) == {"no-class-names"}
    yolo(tmp_path / "more", "c")
    assert len(boxes(tmp_path)) == 3 and codes(tmp_path) == {"no-class-names"}


# which file labels which image


@pytest.mark.parametrize(("labels", "pictures"), [("label", "image"), ("annotations", "images"), ("yolo_labels", ".")])
def test_labels_in_a_folder_that_speaks_of_them_are_read(tmp_path: Path, labels: str, pictures: str) -> None:
    yolo(tmp_path, "a", "b", labels=labels, pictures=pictures)
    assert len(boxes(tmp_path)) == 2


def test_each_splits_own_folder_of_labels_is_of_its_images(tmp_path: Path) -> None:
    yolo(tmp_path, "0", labels="train_labels", pictures="train_images")
    yolo(tmp_path, "0", labels="val_labels", pictures="val_images")
    folders.write(tmp_path / "val_labels" / "0.txt", "0 0.5 0.5 0.25 0.2\n")
    assert images(tmp_path) == {"train_images/0.jpg": "train", "val_images/0.jpg": "val"}
    assert boxes(tmp_path)["val_images/0.jpg"] == [("class_0", [30, 24, 20, 12])]


@pytest.mark.parametrize("line", ["10 8 40 8 40 30 10 30 ship 0", "10 8 30 22 1", "notes of 3 people"])
def test_other_texts_in_such_a_folder_are_no_labels(tmp_path: Path, line: str) -> None:
    WRITERS["coco"](tmp_path, "a.png")
    folders.picture(tmp_path / "images" / "a.png")
    folders.write(tmp_path / "annotations" / "a.txt", f"{line}\n")
    assert boxes(tmp_path) == {"a.png": [CAT]}


def test_a_second_label_file_of_an_image_is_named_as_such(tmp_path: Path) -> None:
    yolo(tmp_path, "train/a")
    folders.write(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    (finding,) = [one for one in read_dataset(tmp_path)[1] if one.where == "labels/a.txt"]
    assert finding.code == "duplicate-annotation"
    assert "labels/train/a.txt" in finding.what and "images/train/a.jpg" in finding.what


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("written", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_meet_however_an_accent_is_written(tmp_path: Path, name: str, written: str, there: str) -> None:
    """macOS takes an accent for a sign of its own."""
    WRITERS[name](tmp_path, unicodedata.normalize(written, "Übung_é.png"))
    folders.picture(tmp_path / "images" / unicodedata.normalize(there, "Übung_é.png"))
    assert list(boxes(tmp_path).values()) == [[CAT]]
    assert codes(tmp_path) == set()


@pytest.mark.parametrize("name", WRITERS)
def test_exports_of_label_studio_meet_the_pictures_as_they_were_uploaded(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "3f2b1c9d-a.png")
    folders.picture(tmp_path / "images" / "a.png")
    assert boxes(tmp_path) == {"a.png": [CAT]} and codes(tmp_path) == set()


@pytest.mark.parametrize("name", BY_WRITTEN_NAME)
def test_a_picture_that_is_there_under_the_whole_name_goes_first(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path, "3f2b1c9d-a.png")
    folders.picture(tmp_path / "images" / "a.png", 1)
    folders.picture(tmp_path / "images" / "3f2b1c9d-a.png", 2)
    assert boxes(tmp_path) == {"3f2b1c9d-a.png": [CAT]}


def test_lvis_names_its_images_by_address(tmp_path: Path) -> None:
    for split, number in (("train", 1), ("val", 2)):
        url = f"http://images.cocodataset.org/{split}2017/00{number}.png"
        image = {"id": number, "coco_url": url, "height": 60, "width": 80}
        entry = {"id": number, "image_id": number, "category_id": 1, "bbox": XYWH}
        folders.coco_json(tmp_path / f"lvis_v1_{split}.json", [image], [entry], [{"id": 1, "name": "cat"}])
        folders.picture(tmp_path / f"{split}2017" / f"00{number}.png", number)
    assert boxes(tmp_path) == {"train2017/001.png": [CAT], "val2017/002.png": [CAT]}


# splits


@pytest.mark.parametrize("name", ["VisDrone2019-DET-test-dev", "test-dev2017", "test_dev", "testdev"])
def test_a_test_dev_set_is_held_out(name: str) -> None:
    assert split_of_folders(f"{name}/images/a.jpg") == "test"
    assert split_of_file(f"annotations/instances_{name}.json") == "test"


LISTS = {
    "names": ("train.txt", "val.txt", "{}\n"),
    "paths": ("trainval.txt", "test.txt", "JPEGImages/{}.jpg\n"),
    "paddle": ("train_list.txt", "val_list.txt", "JPEGImages/{0}.jpg Annotations/{0}.xml\n"),
    "elsewhere": ("lists/train.txt", "lists/valid.txt", "./JPEGImages/{0}.jpg ./Annotations/{0}.xml\n"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_voc_outside_imagesets_count(tmp_path: Path, kind: str) -> None:
    train, held_out, line = LISTS[kind]
    folders.voc(tmp_path, {name: [("cat", 10, 8, 40, 30)] for name in "abc"})
    folders.write(tmp_path / train, line.format("a") + line.format("b"))
    folders.write(tmp_path / held_out, line.format("c"))
    split = split_of_file(held_out)
    assert images(tmp_path) == {"a.jpg": "train", "b.jpg": "train", "c.jpg": split} and codes(tmp_path) == set()


@pytest.mark.parametrize("text", ["a\nb\n", "What was tested: a and b.\n"])
def test_a_text_called_test_that_leaves_nothing_to_train_or_lists_nothing_makes_no_split(
    tmp_path: Path, text: str
) -> None:
    folders.voc(tmp_path, {name: [("cat", 10, 8, 40, 30)] for name in "ab"})
    folders.write(tmp_path / "test.txt", text)
    assert images(tmp_path) == {"a.jpg": None, "b.jpg": None} and codes(tmp_path) == set()


# what numbers mean


def test_four_corners_that_key_points_would_fit_are_corners(tmp_path: Path) -> None:
    """Of a plate in the middle the first two corners make a box of which the others are a part."""
    for number in range(4):
        low, high = 0.4 + number / 100, 0.6 + number / 100
        folders.picture(tmp_path / "images" / f"{number}.jpg", number)
        line = f"0 {low} {low} {high} {low + 0.01} {high} {high} {low} {high - 0.01}\n"
        folders.write(tmp_path / "labels" / f"{number}.txt", line)
    assert boxes(tmp_path)["0.jpg"] == [("class_0", [32, 24, 16, 12])]
    assert "label-lines-unclear" not in codes(tmp_path)


def test_tables_of_sku_110k_and_of_german_signs_are_read(tmp_path: Path) -> None:
    folders.picture(tmp_path / "sku" / "a.png")
    folders.write(tmp_path / "sku" / "annotations_train.csv", "a.png,10,8,40,30,cat,80,60\n")
    assert boxes(tmp_path / "sku") == {"a.png": [CAT]}
    folders.picture(tmp_path / "signs" / "a.png")
    text = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\na.png;80;60;10;8;40;30;cat\n"
    folders.write(tmp_path / "signs" / "GT-00000.csv", text)
    assert boxes(tmp_path / "signs") == {"a.png": [CAT]}


def test_an_entry_of_coco_with_an_empty_name_goes_by_its_address(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.png")
    image = {"id": 1, "file_name": "", "coco_url": "https://host/a.png", "height": 60, "width": 80}
    document = {"images": [image, {"id": 2}], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": XYWH}]
    folders.write(tmp_path / "a.json", json.dumps(document))
    records, findings = read_dataset(tmp_path)
    assert [image.file_name for image in records.images] == ["a.png"]
    assert [finding.what for finding in findings] == ["expected id and file_name"]
