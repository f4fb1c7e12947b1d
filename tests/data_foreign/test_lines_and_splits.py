"""The cases of lines, splits and readable sets; and splits by lists, files and folders, for every reader."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.parsing.split_names import split_of_file, split_of_folders, split_of_name
from tests.data_foreign.reading import boxes, copied, doctor, images, splits
from tests.pipeline.data import folders

LINE = "0 0.5 0.5 0.5 0.6"  # in a picture of 60 x 80: [20, 12, 40, 36]
SPLIT = {"train": 2, "val": 1}


@pytest.mark.parametrize(
    ("case", "found", "codes"),
    [
        ("yolo_pose_read_as_polygon", {"a.jpg": "train", "b.jpg": "train"}, {"split-conflict"}),
        ("darknet_lists", {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val"}, set()),
        ("one_file_called_test", {"f1.jpg": None, "f2.jpg": None, "f3.jpg": None}, set()),
        (
            "yolo_yaml_names_no_folder",
            {"train/images/a.jpg": "train", "train/images/b.jpg": "train", "val/images/c.jpg": "val"},
            {"split-names-nothing", "class-unused"},
        ),
        (
            "yolo_yaml_of_its_author",
            {
                "test/images/d.jpg": "test",
                "train/images/a.jpg": "train",
                "train/images/b.jpg": "train",
                "valid/images/c.jpg": "val",
            },
            {"split-path-elsewhere", "class-unused"},
        ),
        (
            "cvat_project_with_subsets",
            {"Train/0.jpg": "train", "Train/1.jpg": "train", "Validation/0.jpg": "val", "Validation/1.jpg": "val"},
            set(),
        ),
        ("coco_ids_as_text", {"f1.jpg": None, "f2.jpg": None}, set()),
        (
            "coco_splits_number_classes_apart",
            {"train/a.jpg": "train", "val/b.jpg": "val"},
            {"category-ids-differ", "class-not-in-split"},
        ),
        ("labelme_web_xml_called_voc", {"g.jpg": None}, {"box-from-outline"}),
    ],
)
def test_a_case_is_read_reported_and_clean_after_fix(
    tmp_path: Path, case: str, found: dict[str, str | None], codes: set[str]
) -> None:
    folder = copied(case, tmp_path)
    said = doctor(folder, tmp_path / "fixed")
    assert images(folder) == found
    assert set(said.codes) == codes | {"few-objects"}
    again = doctor(tmp_path / "fixed")
    assert again.boxes == said.boxes and images(tmp_path / "fixed") == found
    assert set(again.codes) <= {"few-objects", "class-unused", "class-not-in-split"}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("yolo_pose_read_as_polygon", {name: [("crab", [15, 8, 30, 24])] for name in ("a.jpg", "b.jpg")}),
        ("darknet_lists", {name: [("pin", [18, 12, 24, 16])] for name in ("a.jpg", "b.jpg", "c.jpg")}),
        ("one_file_called_test", {f"f{x}.jpg": [("gull", [5 + x, 6, 20, 24])] for x in (1, 2, 3)}),
        ("coco_ids_as_text", {f"f{x}.jpg": [("fern", [5 + x, 6, 20, 24])] for x in (1, 2)}),
        (
            "coco_splits_number_classes_apart",
            {"train/a.jpg": [("fern", [5, 6, 20, 24])], "val/b.jpg": [("moss", [5, 6, 20, 24])]},
        ),
        (
            "cvat_project_with_subsets",
            {f"{where}/{x}.jpg": [("mug", [5, 6, 20 + x, 24])] for where in ("Train", "Validation") for x in (0, 1)},
        ),
        ("labelme_web_xml_called_voc", {"g.jpg": [("gate", [10, 8, 30, 22])]}),
    ],
)
def test_the_boxes_of_a_case(tmp_path: Path, case: str, expected: dict[str, Any]) -> None:
    assert boxes(copied(case, tmp_path)) == expected


def test_the_last_line_of_the_doctor_says_the_split(tmp_path: Path) -> None:
    said = doctor(copied("darknet_lists", tmp_path))
    assert said.lines.splitlines()[-1].endswith("split: train 2, val 1")
    assert said.summary["images_per_split"] == SPLIT
    said = doctor(copied("one_file_called_test", tmp_path))
    assert said.lines.splitlines()[-1].endswith("no split of its own") and not said.summary["images_per_split"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_images", "train"),
        ("WIDER_train", "train"),
        ("images-val2017", "val"),
        ("validImages", "val"),
        ("TestData", "test"),
        ("trainval", "train"),
        ("train_val", "train"),
        ("train_test", None),
        ("obj_train_data", None),
        ("contest", None),
        ("training2012", "train"),
        ("0001", None),
        ("", None),
    ],
)
def test_the_words_of_files_and_folders_are_read_alike(name: str, split: str | None) -> None:
    assert split_of_name(name) == split
    if name:
        assert split_of_folders(f"{name}/a.jpg") == split_of_file(f"{name}.json") == split


def test_a_folder_of_one_word_goes_before_one_of_several() -> None:
    assert split_of_folders("train/crash_test/a.jpg") == "train"
    assert split_of_folders("crash_test/train/images/a.jpg") == "train"


Writer = Callable[
    [Path, str, str], None
]  # root, folder of the pictures, name of the file: two pictures with a box each


def coco_set(root: Path, place: str, file: str) -> None:
    entries = [{"id": x, "file_name": f"{place}/{x}.jpg", "height": 60, "width": 80} for x in (1, 2)]
    found = [{"id": x, "image_id": x, "category_id": 1, "bbox": [5, 5, 20, 20 + x]} for x in (1, 2)]
    pictures(root, place)
    folders.coco_json(root / f"{file}.json", entries, found, [{"id": 1, "name": "crab"}])


def csv_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    rows = "".join(f"{place}/{x}.jpg,5,5,25,25,crab\n" for x in (1, 2))
    folders.write(root / f"{file}.csv", f"image,x1,y1,x2,y2,label\n{rows}")


def cvat_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    box = '<box label="crab" xtl="5" ytl="5" xbr="25" ybr="25"/>'
    entries = "".join(f'<image id="{x}" name="{place}/{x}.jpg" width="80" height="60">{box}</image>' for x in (1, 2))
    folders.write(root / f"{file}.xml", f"<annotations>{entries}</annotations>")


def label_studio_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    value = {"x": 10, "y": 10, "width": 30, "height": 30, "rectanglelabels": ["crab"]}
    made = [{"result": [{"type": "rectanglelabels", "value": value}]}]
    tasks = [{"id": x, "data": {"image": f"{place}/{x}.jpg"}, "annotations": made} for x in (1, 2)]
    folders.write(root / f"{file}.json", json.dumps(tasks))


def labelme_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    for x in (1, 2):
        shape = {"label": "crab", "shape_type": "rectangle", "points": [[5, 5], [25, 25]]}
        folders.write(root / place / f"{x}.json", json.dumps({"shapes": [shape], "imagePath": f"{x}.jpg"}))


def voc_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    for x in (1, 2):
        folders.voc_xml(root / place / f"{x}.xml", [("crab", 5, 5, 25, 25)])


def yolo_set(root: Path, place: str, file: str) -> None:
    pictures(root, place)
    for x in (1, 2):
        folders.write(root / place / f"{x}.txt", f"{LINE}\n")
    folders.write(root / "classes.txt", "crab\n")


def pictures(root: Path, place: str) -> None:
    for x in (1, 2):
        folders.picture(root / place / f"{x}.jpg", hash((place, x)) % 1000)


OF_A_FILE: list[Writer] = [coco_set, csv_set, cvat_set, label_studio_set]
OF_FOLDERS: list[Writer] = [*OF_A_FILE[:2], *OF_A_FILE[2:], labelme_set, voc_set, yolo_set]


@pytest.mark.parametrize("write", OF_A_FILE, ids=lambda write: write.__name__)
@pytest.mark.parametrize("file", ["flight_test", "val", "validation_2"])
def test_a_single_file_makes_no_split(tmp_path: Path, write: Writer, file: str) -> None:
    write(tmp_path, "pictures", file)
    assert splits(tmp_path) == {None: 2}


@pytest.mark.parametrize("write", OF_FOLDERS, ids=lambda write: write.__name__)
def test_folders_that_leave_nothing_to_train_make_no_split(tmp_path: Path, write: Writer) -> None:
    write(tmp_path, "crash_test", "boxes")
    assert splits(tmp_path) == {None: 2}


@pytest.mark.parametrize("write", [labelme_set, voc_set, yolo_set], ids=lambda write: write.__name__)
def test_folders_of_several_words_are_splits(tmp_path: Path, write: Writer) -> None:
    write(tmp_path, "WIDER_train", "")
    write(tmp_path, "val_images", "")
    assert splits(tmp_path) == {"train": 2, "val": 2}


@pytest.mark.parametrize("write", OF_A_FILE, ids=lambda write: write.__name__)
def test_one_file_of_two_folders_has_their_splits(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "set", "train_images/and", "boxes")
    move = tmp_path / "set" / "test_images"
    move.mkdir()
    shutil.move(tmp_path / "set" / "train_images" / "and" / "2.jpg", move / "2.jpg")
    for file in (tmp_path / "set").glob("boxes.*"):
        text = file.read_text().replace("train_images/and/2", "test_images/2")
        file.write_text(text)
    assert splits(tmp_path / "set") == {"train": 1, "test": 1}


@pytest.mark.parametrize("write", OF_A_FILE, ids=lambda write: write.__name__)
def test_files_of_two_splits_are_splits(tmp_path: Path, write: Writer) -> None:
    write(tmp_path, "one", "boxes_train")
    write(tmp_path, "two", "boxes_valid")
    assert splits(tmp_path) == {"train": 2, "val": 2}


def darknet(root: Path, lists: dict[str, str], data: str) -> Path:
    for x in "abc":
        folders.picture(root / "obj_train_data" / f"{x}.jpg", ord(x))
        folders.write(root / "obj_train_data" / f"{x}.txt", f"{LINE}\n")
    folders.write(root / "obj.names", "crab\n")
    for name, text in lists.items():
        folders.write(root / name, text)
    if data:
        folders.write(root / "obj.data", data)
    return root


@pytest.mark.parametrize("prefix", ["data/", "", "/home/" + "somebody/darknet/data/", "../data/", "C:\\sets\\"])
@pytest.mark.parametrize("data", ["train = data/train.txt\nvalid=data/valid.txt\nnames = x\n", ""])
def test_lists_of_darknet_count_wherever_their_author_had_them(tmp_path: Path, prefix: str, data: str) -> None:
    lines = {name: f"{prefix}obj_train_data/{name}.jpg\n" for name in "abc"}
    root = darknet(tmp_path / "set", {"train.txt": lines["a"] + lines["b"], "valid.txt": lines["c"]}, data)
    assert images(root) == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val"}
    assert set(doctor(root).codes) == {"few-objects"}


def test_a_list_that_trains_and_validates_on_the_same_holds_nothing_out(tmp_path: Path) -> None:
    lists = {"train.txt": "".join(f"data/obj_train_data/{name}.jpg\n" for name in "abc")}
    root = darknet(tmp_path / "set", lists, "train = data/train.txt\nvalid = data/train.txt\n")
    assert splits(root) == {"train": 3} and doctor(root).codes["split-conflict"] == 1


def test_a_list_that_names_what_is_not_there_is_reported(tmp_path: Path) -> None:
    root = darknet(
        tmp_path / "set", {"train.txt": "obj_train_data/a.jpg\nobj_train_data/lost.jpg\n"}, "train = train.txt\n"
    )
    said = doctor(root)
    assert said.codes["unknown-name-in-list"] == 1 and "train.txt: expected names of images, got 1 of 2" in said.lines


def test_cvats_names_of_subsets_are_keys_of_data_yaml(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for subset in ("Train", "Validation"):
        folders.picture(root / "images" / subset / "0.jpg", len(subset))
        folders.write(root / "labels" / subset / "0.txt", f"{LINE}\n")
        folders.write(root / f"{subset}.txt", f"data/images/{subset}/0.jpg\n")
    folders.write(root / "data.yaml", "path: .\nTrain: Train.txt\nValidation: Validation.txt\nnames: {0: crab}\n")
    assert images(root) == {"Train/0.jpg": "train", "Validation/0.jpg": "val"}


def test_cvats_lists_of_voc_count(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, subset in enumerate(("Train", "Validation")):
        folders.picture(root / "JPEGImages" / subset / f"{number}.jpg", number)
        folders.voc_xml(root / "Annotations" / subset / f"{number}.xml", [("crab", 5, 5, 25, 25)])
        folders.write(root / "ImageSets" / "Main" / f"{subset}.txt", f"{subset}/{number}\n")
    assert images(root) == {"Train/0.jpg": "train", "Validation/1.jpg": "val"}
    assert set(doctor(root).codes) == {"few-objects"}


@pytest.mark.parametrize(
    "entries",
    [
        "train: images/one\nval: ../nowhere/two/images\n",
        "train: images/one\nval: images/lost.txt\n",
        "train: images/one\nval: [images/one_more, images/lost]\n",
    ],
)
def test_an_entry_that_names_nothing_is_reported_and_the_rest_counts(tmp_path: Path, entries: str) -> None:
    root = tmp_path / "set"
    for place in ("one", "two"):
        folders.picture(root / "images" / place / "a.jpg", len(place) + ord(place[0]))
        folders.write(root / "labels" / place / "a.txt", f"{LINE}\n")
    folders.write(root / "data.yaml", f"{entries}names: [crab]\n")
    said = doctor(root, tmp_path / "fixed")
    assert said.codes["split-names-nothing"] >= 1 and "data.yaml: val: expected a folder" in said.lines
    assert images(root) == {"one/a.jpg": "train", "two/a.jpg": None}
    assert "split-names-nothing" not in doctor(tmp_path / "fixed").codes


def test_an_entry_is_not_taken_by_an_end_that_says_no_split(tmp_path: Path) -> None:
    root = tmp_path / "set"
    folders.picture(root / "images" / "a.jpg")
    folders.write(root / "labels" / "a.txt", f"{LINE}\n")
    folders.write(root / "data.yaml", "train: images\nval: ../valid/images\nnames: [crab]\n")
    assert splits(root) == {"train": 1} and "split-names-nothing" in doctor(root).codes
