"""The table reader x kind of data: for each reader, which test shows a kind, or why it cannot occur there.

What the tests beside this file show for some readers is shown here for the others.
"""

import importlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.convert import convert
from pipeline.data.formats.read import read_dataset
from tests.data_foreign.reading import boxes, doctor
from tests.data_foreign.writers import WRITERS, XYWH
from tests.pipeline.data import folders

Objects = list[dict[str, Any]]
CAT = ("cat", [10.0, 8.0, 30.0, 22.0])
TURNED = ("cat", [12.93, 12.93, 14.14, 14.14])  # a square of 10 px about (20, 20), by 45 degrees
SQUARE = [15, 15, 10, 10]
VERTICES = [20, 12.93, 27.07, 20, 20, 27.07, 12.93, 20]


def coco(root: Path, *objects: dict[str, Any]) -> Path:
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 80}
    entries = [{"id": at, "image_id": 1, "category_id": 1, **entry} for at, entry in enumerate(objects, 1)]
    folders.coco_json(root / "a.json", [image], entries, [{"id": 1, "name": "cat"}])
    return with_picture(root)


def csv(root: Path, header: str, *rows: str) -> Path:
    folders.write(root / "a.csv", "\n".join([header, *rows]) + "\n")
    return with_picture(root)


def cvat(root: Path, *shapes: str) -> Path:
    image = f'<image id="0" name="a.png" width="80" height="60">{"".join(shapes)}</image>'
    folders.write(root / "a.xml", f"<annotations>{image}</annotations>")
    return with_picture(root)


def imagefolder(root: Path, **objects: Any) -> Path:
    folders.write(root / "metadata.jsonl", json.dumps({"file_name": "a.png", "objects": objects}) + "\n")
    return with_picture(root)


def labelme(root: Path, *shapes: dict[str, Any]) -> Path:
    document = {"shapes": [{"label": "cat", **shape} for shape in shapes], "imagePath": "a.png"}
    folders.write(root / "a.json", json.dumps(document))
    return with_picture(root)


def label_studio(root: Path, *results: dict[str, Any]) -> Path:
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": results}]}
    folders.write(root / "a.json", json.dumps([task]))
    return with_picture(root)


def voc(root: Path, inside: str) -> Path:
    folders.write(root / "a.xml", f"<annotation><object><name>cat</name>{inside}</object></annotation>")
    return with_picture(root)


def yolo(root: Path, *lines: str) -> Path:
    folders.write(root / "a.txt", "\n".join(lines) + "\n")
    folders.write(root / "classes.txt", "cat\n")
    return with_picture(root)


def with_picture(root: Path) -> Path:
    folders.picture(root / "a.png")
    return root


def of_task(kind: str = "rectanglelabels", **value: float) -> dict[str, Any]:
    """A region of a picture of 60 x 80 px, given in px; Label Studio wants percent."""
    percent = {key: 100 * number / (60 if key in ("y", "height") else 80) for key, number in value.items()}
    return {"type": kind, "value": {**percent, kind: ["cat"]}, "original_width": 80, "original_height": 60}


def bndbox(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"


# oriented boxes: the upright box around each, with one note

ORIENTED: dict[str, Callable[[Path], Path]] = {
    "coco": lambda root: coco(root, *[{"bbox": SQUARE, "attributes": {"rotation": 45.0}}] * 2),
    "csv": lambda root: csv(
        root,
        "image,class,x1,y1,x2,y2,x3,y3,x4,y4",
        *[f"a.png,cat,{','.join(map(str, VERTICES))}", f"a.png,cat,{','.join(map(str, VERTICES))}"],
    ),
    "cvat": lambda root: cvat(root, *['<box label="cat" xtl="15" ytl="15" xbr="25" ybr="25" rotation="45"/>'] * 2),
}  # labelme, voc, yolo: test_readable_sets.py, test_label_lines.py; label_studio: test_label_studio.py


@pytest.mark.parametrize("name", ORIENTED)
def test_oriented_boxes_become_upright_ones_with_one_note(tmp_path: Path, name: str) -> None:
    root = ORIENTED[name](tmp_path / "set")
    assert boxes(root)["a.png"] == [TURNED, TURNED]
    assert doctor(root).codes["box-turned"] == 1


@pytest.mark.parametrize("header", ["image,class,x0,y0,x1,y1,x2,y2,x3,y3", "image,class,bbox", ""])
def test_a_table_of_eight_numbers_is_one_of_oriented_boxes(tmp_path: Path, header: str) -> None:
    numbers = ",".join(map(str, VERTICES))
    row = f'a.png,cat,"[{numbers}]"' if header.endswith("bbox") else f"a.png,cat,{numbers}"
    assert boxes(csv(tmp_path / "set", header, row, row))["a.png"] == [TURNED, TURNED]


def test_eight_corners_of_an_upright_box_are_not_worth_a_word(tmp_path: Path) -> None:
    root = csv(tmp_path / "set", "image,class,x1,y1,x2,y2,x3,y3,x4,y4", "a.png,cat,10,8,40,8,40,30,10,30")
    assert boxes(root)["a.png"] == [CAT] and doctor(root).codes == {"few-objects": 1}


@pytest.mark.parametrize("angle", ["30", "-0.7"])
def test_a_tables_angle_is_reported_for_its_unit_is_unknown(tmp_path: Path, angle: str) -> None:
    root = csv(tmp_path / "set", "image,class,x,y,w,h,angle", "a.png,cat,1,1,5,5,0", f"a.png,cat,10,8,30,22,{angle}")
    said = doctor(root)
    assert said.codes["label-lines-unclear"] == 1 and "a.csv: row 3: expected upright boxes, got 1" in said.lines
    assert CAT in boxes(root)["a.png"]


def test_a_rotation_of_coco_that_turns_nothing_says_nothing(tmp_path: Path) -> None:
    attributes = [{"rotation": 0.0}, {"rotation": 360}, {"rotation": "none"}, {"occluded": True}, "odd"]
    root = coco(tmp_path / "set", *({"bbox": XYWH, "attributes": one} for one in attributes))
    assert boxes(root)["a.png"] == [CAT] * 5 and "box-turned" not in doctor(root).codes


# a confidence behind a box: by name

SURE, UNSURE = 1, 0.87
CONFIDENT: dict[str, Callable[[Path, float], Path]] = {
    "coco": lambda root, score: coco(root, {"bbox": XYWH, "score": score}),
    "csv": lambda root, score: csv(root, "image,class,xmin,ymin,xmax,ymax,conf", f"a.png,cat,10,8,40,30,{score}"),
    "imagefolder": lambda root, score: imagefolder(root, bbox=[XYWH], categories=["cat"], scores=[score]),
    "labelme": lambda root, score: labelme(
        root, {"shape_type": "rectangle", "points": [[10, 8], [40, 30]], "score": score}
    ),
    "label_studio": lambda root, score: label_studio(root, of_task(x=10, y=8, width=30, height=22) | {"score": score}),
    "voc": lambda root, score: voc(root, f"{bndbox(10, 8, 40, 30)}<confidence>{score}</confidence>"),
    "yolo": lambda root, score: yolo(root, f"0 0.3125 0.3166667 0.375 0.3666667 {score}"),
}


@pytest.mark.parametrize("name", CONFIDENT)
def test_boxes_with_a_confidence_are_reported_and_kept(tmp_path: Path, name: str) -> None:
    root = CONFIDENT[name](tmp_path / "set", UNSURE)
    assert boxes(root)["a.png"] == [CAT] and doctor(root).codes["boxes-with-confidence"] == 1


@pytest.mark.parametrize("name", [name for name in CONFIDENT if name != "yolo"])  # where a sixth number says it alone
def test_a_confidence_of_one_is_a_persons(tmp_path: Path, name: str) -> None:
    assert doctor(CONFIDENT[name](tmp_path / "set", SURE)).codes == {"few-objects": 1}


# what is no box: dropped by its place, never made into one

NO_BOX: dict[str, tuple[Callable[[Path], Path], str]] = {
    "coco": (lambda root: coco(root, {"keypoints": [10, 8, 2, 40, 30, 2]}, {"bbox": XYWH}), "a.json: annotation 1"),
    "csv": (
        lambda root: csv(root, "image,class,bbox", 'a.png,cat,"10 8 40 30 5"', 'a.png,cat,"10 8 40 30"'),
        "a.csv: row 2",
    ),
    "cvat": (
        lambda root: cvat(
            root,
            '<points label="cat" points="1,1;5,5"/>',
            '<box label="cat" xtl="10" ytl="8" xbr="40" ybr="30"/>',
        ),
        "a.xml: image a.png: points 1",
    ),
    "imagefolder": (
        lambda root: imagefolder(root, bbox=[[10, 8, 30, 22, 45], XYWH], categories=["cat", "cat"]),
        "metadata.jsonl: line 1: object 1",
    ),
    "labelme": (
        lambda root: labelme(
            root,
            {"shape_type": "point", "points": [[10, 8]]},
            {"shape_type": "rectangle", "points": [[10, 8], [40, 30]]},
        ),
        "a.json: shape 1",
    ),
    "label_studio": (
        lambda root: label_studio(
            root, of_task("keypointlabels", x=10, y=8, width=1), of_task(x=10, y=8, width=30, height=22)
        ),
        "a.json: task 1: region 1",
    ),
}  # voc, yolo: test_label_lines.py


@pytest.mark.parametrize("name", NO_BOX)
def test_what_is_no_box_is_dropped_by_its_place(tmp_path: Path, name: str) -> None:
    write, place = NO_BOX[name]
    root = write(tmp_path / "set")
    assert len(boxes(root)["a.png"]) == 1
    assert any(finding.where == place for finding in read_dataset(root)[1])


# swapped corners are turned by --fix

SWAPPED: dict[str, Callable[[Path], Path]] = {
    "coco": lambda root: coco(root, {"bbox": [40, 30, -30, -22]}),
    "csv": lambda root: csv(root, "image,class,xmin,ymin,xmax,ymax", "a.png,cat,40,30,10,8"),
    "cvat": lambda root: cvat(root, '<box label="cat" xtl="40" ytl="30" xbr="10" ybr="8"/>'),
    "imagefolder": lambda root: imagefolder(root, bbox=[[40, 30, -30, -22]], categories=["cat"]),
    "labelme": lambda root: labelme(root, {"shape_type": "rectangle", "points": [[40, 30], [10, 8]]}),
    "label_studio": lambda root: label_studio(root, of_task(x=40, y=30, width=-30, height=-22)),
    "voc": lambda root: voc(root, bndbox(40, 30, 10, 8)),
    "yolo": lambda root: yolo(root, "0 0.3125 0.3166667 -0.375 -0.3666667"),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_swapped_corners_end_as_the_box_they_mean(tmp_path: Path, name: str) -> None:
    """By the reader, where a format's corners have no order (LabelMe, shapes of CVAT), else by `--fix`."""
    root = SWAPPED[name](tmp_path / "set")
    said = doctor(root, tmp_path / "fixed")
    assert boxes(tmp_path / "fixed")["a.png"] == [CAT]
    assert ("box-inverted" in said.codes) is (name not in ("labelme", "cvat", "label_studio"))


# one way of writing a box taken for another

PLACES = [(5 + 3 * at, 4 + 2 * at, 45 + 3 * at, 34 + 2 * at) for at in range(11)]  # in a picture of 80 x 60 px


def test_corners_in_coco_are_reported(tmp_path: Path) -> None:
    said = doctor(coco(tmp_path / "set", *({"bbox": list(box)} for box in PLACES)))
    assert said.code == 1 and said.codes["boxes-may-be-corners"] == 1
    right = [{"bbox": [x1, y1, x2 - x1, y2 - y1]} for x1, y1, x2, y2 in PLACES]
    assert "boxes-may-be-corners" not in doctor(coco(tmp_path / "right", *right)).codes


@pytest.mark.parametrize("name", ["coco", "voc", "labelme"])
def test_shares_where_pixels_are_expected_are_reported(tmp_path: Path, name: str) -> None:
    shares = [(x1 / 80, y1 / 60, x2 / 80, y2 / 60) for x1, y1, x2, y2 in PLACES]
    root = tmp_path / "set"
    if name == "coco":
        coco(root, *({"bbox": [x1, y1, x2 - x1, y2 - y1]} for x1, y1, x2, y2 in shares))
    elif name == "voc":
        voc(root, "</object><object><name>cat</name>".join(bndbox(*box) for box in shares))
    else:
        labelme(root, *({"shape_type": "rectangle", "points": [[x1, y1], [x2, y2]]} for x1, y1, x2, y2 in shares))
    said = doctor(root)
    assert said.code == 1 and said.codes["boxes-may-be-shares"] == 1


def test_class_indices_that_count_from_one_are_reported(tmp_path: Path) -> None:
    box = "0.5 0.5 0.3 0.4"
    root = yolo(tmp_path / "set", f"1 {box}", f"2 {box}")
    folders.write(root / "classes.txt", "cat\ndog\n")
    said = doctor(root)
    assert said.code == 1 and "got 1 to 2: do they count from 1?" in said.lines
    folders.write(root / "a.txt", f"0 {box}\n2 {box}\n")
    assert "class-indices-from-one" not in doctor(root).codes


# archives


@pytest.mark.parametrize("name", WRITERS)
def test_convert_reads_an_archive_of_each_format(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "set", "a.png")
    folders.picture(tmp_path / "set" / "images" / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "set"))
    convert(tmp_path / "set.zip", tmp_path / "out", "coco")
    assert list(boxes(tmp_path / "out").values()) == [[CAT]]


# the table

HERE, PICTURES, LINES = "test_every_reader", "test_pictures", "test_lines_and_splits"
LABELS, WORDS, READABLE, UNREAD = "test_label_lines", "test_words", "test_readable_sets", "test_unread_formats"


def all_but(test: str, **others: str) -> dict[str, str]:
    return dict.fromkeys(WRITERS, test) | others


NAMES = "cannot occur: every object carries its class's name, no file numbers them"
ONE = "cannot occur: one file an image, or a list by name, so that no second one repeats its rows unnoticed"
TABLE: dict[str, dict[str, str]] = {
    "1 the picture that is written": all_but(
        f"{PICTURES}.test_a_copy_in_a_folder_of_masks_or_drawings_is_not_taken",
        yolo=f"{PICTURES}.test_of_two_images_of_one_label_file_the_first_is_taken_and_both_are_named",
    ),
    "1 the written name, not the file's own": all_but(
        "cannot occur: not one file an image, so it has no name of its own to disagree with",
        voc=f"{PICTURES}.test_the_written_name_goes_before_the_files_own_and_both_are_named",
        labelme=f"{PICTURES}.test_the_written_name_goes_before_the_files_own_and_both_are_named",
        yolo="cannot occur: a label file says no name of an image",
    ),
    "2 oriented boxes": all_but(
        f"{HERE}.test_oriented_boxes_become_upright_ones_with_one_note",
        labelme=f"{READABLE}.test_turned_boxes_of_labelme_have_one_note",
        label_studio="tests.pipeline.data.formats.test_label_studio.test_a_rectangle_turns_about_its_first_corner",
        voc=f"{LABELS}.test_other_shapes_in_voc_files",
        yolo=f"{LABELS}.test_oriented_boxes_become_upright_ones_with_one_note",
        imagefolder=f"{HERE}.test_what_is_no_box_is_dropped_by_its_place",
    ),
    "2 confidences": all_but(
        f"{HERE}.test_boxes_with_a_confidence_are_reported_and_kept",
        cvat="cannot occur: the format has no place for one",
    ),
    "2 what is no box": all_but(
        f"{HERE}.test_what_is_no_box_is_dropped_by_its_place",
        voc=f"{LABELS}.test_other_shapes_in_voc_files",
        yolo=f"{LABELS}.test_a_pose_lines_box_is_its_first_four_numbers",
    ),
    "3 kinds of pictures": all_but(f"{PICTURES}.test_each_reader_takes_each_kind_of_picture"),
    "3 pictures that are not read": all_but(f"{PICTURES}.test_a_picture_of_a_kind_that_is_not_read_is_named"),
    "3 names in another case": all_but(
        f"{PICTURES}.test_names_meet_whatever_their_case", yolo=f"{PICTURES}.test_yolo_folders_meet_whatever_their_case"
    ),
    "4 folders of splits": all_but(f"{LINES}.test_folders_that_leave_nothing_to_train_make_no_split"),
    "4 files of splits": all_but(
        f"{LINES}.test_files_of_two_splits_are_splits",
        labelme=f"{LINES}.test_folders_of_several_words_are_splits",
        voc=f"{LINES}.test_cvats_lists_of_voc_count",
        yolo=f"{LINES}.test_lists_of_darknet_count_wherever_their_author_had_them",
    ),
    "4 a single file": all_but(
        f"{LINES}.test_a_single_file_makes_no_split",
        labelme="cannot occur: a file is of one image",
        voc="cannot occur: a file is of one image",
        yolo=f"{LINES}.test_a_list_that_trains_and_validates_on_the_same_holds_nothing_out",
    ),
    "5 masks": all_but(
        f"{PICTURES}.test_masks_and_other_folders_without_annotation_are_a_line_each",
        yolo=f"{PICTURES}.test_masks_beside_a_flat_folder_are_no_background",
    ),
    "5 pictures elsewhere": all_but(
        f"{PICTURES}.test_masks_and_other_folders_without_annotation_are_a_line_each",
        yolo=f"{PICTURES}.test_where_labels_lie_beside_images_pictures_elsewhere_are_no_data",
    ),
    "6 taken for another": all_but(
        f"{WORDS}.test_a_near_miss_names_its_file_and_what_it_lacks",
        yolo=f"{WORDS}.test_labels_that_are_none_are_refused_as_a_whole",
    ),
    "6 another reading of the numbers": all_but(
        f"{HERE}.test_shares_where_pixels_are_expected_are_reported",
        csv="tests.pipeline.data.formats.test_csv_table.test_a_share_counts_for_the_images_own_size_and_small_pixels_are_no_shares",
        label_studio="cannot occur: percent by definition",
        cvat=f"{HERE}.test_shares_where_pixels_are_expected_are_reported",
        yolo=f"{WORDS}.test_what_nearly_all_entries_have_in_common_is_one_finding",
    ),
    "7 classes numbered apart": all_but(
        NAMES,
        coco=f"{LINES}.test_a_case_is_read_reported_and_clean_after_fix",
        yolo=f"{READABLE}.test_folders_of_yolo_that_number_classes_apart_are_joined_by_name",
        imagefolder="tests.pipeline.data.formats.test_imagefolder.test_the_readme_names_the_numbers",
    ),
    "7 swapped corners": all_but(f"{HERE}.test_swapped_corners_end_as_the_box_they_mean"),
    "7 archives": all_but(f"{HERE}.test_convert_reads_an_archive_of_each_format"),
    "8 encodings": all_but(
        f"{WORDS}.test_every_reader_refuses_what_is_no_unicode_by_the_files_name_or_reads_it_as_it_is_said"
    ),
    "9 the same in two files": all_but(
        ONE,
        csv=f"{WORDS}.test_rows_of_two_tables_count_once",
        coco=f"{WORDS}.test_images_of_two_coco_files_count_once",
    ),
    "10 near misses": all_but(
        f"{WORDS}.test_a_near_miss_names_its_file_and_what_it_lacks",
        yolo=f"{WORDS}.test_labels_that_are_none_are_refused_as_a_whole",
    ),
}


@pytest.mark.parametrize("kind", TABLE)
def test_the_table_is_whole(kind: str) -> None:
    assert set(TABLE[kind]) == set(WRITERS)
    for cell in TABLE[kind].values():
        if not cell.startswith("cannot occur: "):
            module, _, test = cell.rpartition(".")
            module = module if module.startswith("tests.") else f"tests.data_foreign.{module}"
            assert callable(getattr(importlib.import_module(module), test, None)), cell
