"""YOLO lines and VOC objects that are no boxes: key points, outlines, oriented boxes, detections."""

from pathlib import Path

import pytest

from tests.data_foreign.reading import boxes, doctor
from tests.pipeline.data import folders

LINE = "0 0.5 0.5 0.5 0.6"  # in a picture of 60 x 80: [20, 12, 40, 36]
BOX = ("crab", [20.0, 12.0, 40.0, 36.0])


def yolo(root: Path, *lines: str, description: str = "") -> Path:
    for number, line in enumerate(lines):
        folders.picture(root / "images" / f"{number}.jpg", number)
        folders.write(root / "labels" / f"{number}.txt", f"{line}\n")
    if description:
        folders.write(root / "data.yaml", f"names: [crab]\n{description}\n")
    else:
        folders.write(root / "classes.txt", "crab\n")
    return root


POSE = {
    "two numbers a point": f"{LINE} 0.3 0.3 0.7 0.3 0.3 0.7 0.7 0.7",
    "three numbers a point": f"{LINE} 0.3 0.3 2 0.7 0.3 1 0 0 0",
    "an even count": f"{LINE} 0.3 0.3 2",
}
SHAPES = {"two numbers a point": "[4, 2]", "three numbers a point": "[3, 3]", "an even count": "[1, 3]"}


@pytest.mark.parametrize("kind", POSE)
@pytest.mark.parametrize("described", [True, False])
def test_a_pose_lines_box_is_its_first_four_numbers(tmp_path: Path, kind: str, described: bool) -> None:
    shape = f"kpt_shape: {SHAPES[kind]}" if described else ""
    root = yolo(tmp_path / "set", POSE[kind], LINE if described else POSE[kind], description=shape)
    assert boxes(root) == {"0.jpg": [BOX], "1.jpg": [BOX]}
    said = doctor(root)
    assert ("label-lines-unclear" in said.codes) is not described
    assert described or ("labels/0.txt: line 1" in said.lines and f"kpt_shape {SHAPES[kind]}" in said.lines)


def test_a_line_of_another_length_than_kpt_shape_says_is_dropped_by_name(tmp_path: Path) -> None:
    root = yolo(tmp_path / "set", POSE["two numbers a point"], f"{LINE} 0.1 0.1", description="kpt_shape: [4, 2]")
    said = doctor(root)
    assert said.boxes == {"crab": 1} and said.codes["box-not-numbers"] == 1
    assert "labels/1.txt: line 1: expected 5 or 13 numbers (kpt_shape [4, 2]), got 7" in said.lines


@pytest.mark.parametrize("shape", ["17", "[0, 2]", "[4, 2, 1]", "[many, 2]", "[4, 7]", "null"])
def test_a_kpt_shape_that_cannot_be_is_none(tmp_path: Path, shape: str) -> None:
    root = yolo(tmp_path / "set", LINE, f"{LINE}", description=f"kpt_shape: {shape}")
    assert boxes(root) == {"0.jpg": [BOX], "1.jpg": [BOX]}


POLYGON = "0 0.1 0.1 0.5 0.2 0.9 0.3 0.8 0.9 0.2 0.8"


def test_long_lines_of_one_length_are_reported_as_what_they_may_be(tmp_path: Path) -> None:
    said = doctor(yolo(tmp_path / "set", POLYGON, POLYGON))
    assert said.codes["label-lines-unclear"] == 1 and said.boxes == {"crab": 2}
    assert "labels/0.txt: line 1" in said.lines and "polygons of 5 points or boxes with key points" in said.lines


@pytest.mark.parametrize("second", [LINE, "0 0.1 0.1 0.5 0.2 0.9 0.3", ""])
def test_polygons_among_others_are_polygons(tmp_path: Path, second: str) -> None:
    said = doctor(yolo(tmp_path / "set", POLYGON, second))
    assert "label-lines-unclear" not in said.codes
    assert boxes(tmp_path / "set")["0.jpg"] == [("crab", [8, 6, 64, 48])]


def test_polygons_that_a_data_yaml_describes_are_polygons(tmp_path: Path) -> None:
    assert "label-lines-unclear" not in doctor(yolo(tmp_path / "set", POLYGON, POLYGON, description="nc: 1")).codes


def test_a_sixth_number_is_named_a_confidence(tmp_path: Path) -> None:
    said = doctor(yolo(tmp_path / "set", f"{LINE} 0.93", f"{LINE} 1"))
    assert said.codes["boxes-with-confidence"] == 1 and "labels/0.txt: line 1" in said.lines
    assert boxes(tmp_path / "set") == {"0.jpg": [BOX], "1.jpg": [BOX]}


@pytest.mark.parametrize("line", ["0 0.93 0.5 0.5 0.5 0.6", f"{LINE} 1.57"])  # before the box; an angle
def test_six_numbers_that_are_no_detection_are_dropped_by_name(tmp_path: Path, line: str) -> None:
    said = doctor(yolo(tmp_path / "set", line, LINE))
    assert said.codes["box-not-numbers"] == 1 and said.boxes == {"crab": 1}
    assert "labels/0.txt: line 1" in said.lines and "confidence" in said.lines


OBB = "0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5"


def test_oriented_boxes_become_upright_ones_with_one_note(tmp_path: Path) -> None:
    said = doctor(yolo(tmp_path / "set", OBB, OBB, description="nc: 1"))
    assert said.codes == {"box-turned": 1, "few-objects": 1} and said.code == 0
    assert boxes(tmp_path / "set")["0.jpg"] == [("crab", [8, 6, 64, 48])]


def test_oriented_boxes_that_stand_upright_are_not_worth_a_word(tmp_path: Path) -> None:
    line = "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9"
    assert doctor(yolo(tmp_path / "set", line, line, description="nc: 1")).codes == {"few-objects": 1}


def voc_with(root: Path, shape: str) -> Path:
    folders.picture(root / "a.jpg")
    sound = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    objects = "".join(f"<object><name>crab</name>{one}</object>" for one in (shape, sound))
    folders.write(root / "a.xml", f"<annotation>{objects}</annotation>")
    return root


POINTS = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((10, 8), (40, 8), (40, 30)))
SAID = "<x1>10</x1><y1>8</y1><x2>40</x2><y2>8</y2><x3>40</x3><y3>30</y3>"
TURNED = "<robndbox><cx>30</cx><cy>20</cy><w>{}</w><h>10</h><angle>{}</angle></robndbox>"
MASK = "<segm><box><xmin>10</xmin><ymin>8</ymin><xmax>40</xmax><ymax>30</ymax></box></segm>"


@pytest.mark.parametrize(
    ("shape", "box", "code"),
    [
        (TURNED.format(20, 1.5707963), [25, 10, 10, 20], ""),
        (TURNED.format(10, 0.7853982), [22.93, 12.93, 14.14, 14.14], "box-turned"),
        (f"<polygon>{POINTS}</polygon>", [10, 8, 30, 22], "box-from-outline"),
        (f"<polygon>{SAID}</polygon>", [10, 8, 30, 22], "box-from-outline"),
        (MASK, [10, 8, 30, 22], "box-from-outline"),
        ("<robndbox><cx>x</cx></robndbox>", None, "box-not-numbers"),
        ("<polygon><pt><x>1</x><y>2</y></pt></polygon>", None, "box-not-numbers"),
        (f"<deleted>1</deleted><polygon>{POINTS}</polygon>", None, ""),
    ],
)  # fmt: skip
def test_other_shapes_in_voc_files(tmp_path: Path, shape: str, box: list[float] | None, code: str) -> None:
    root = voc_with(tmp_path / "set", shape)
    assert boxes(root) == {"a.jpg": [("crab", [1, 2, 4, 4]), *([("crab", box)] if box else [])]}
    assert set(doctor(root).codes) - {"few-objects"} == ({code} if code else set())
