"""CSV tables of boxes, by the headers that people write."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.formats.convert import convert
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.errors import InputError


def read(root: Path, table: str, name: str = "boxes.csv") -> tuple[list[list[float]], list[str], list[str]]:
    """Boxes, classes and finding codes of the one image a.jpg, 80 x 60 px."""
    folders.picture(root / "images" / "a.jpg")
    folders.write(root / name, table)
    records, findings = read_dataset(root)
    (record,) = records.images
    assert record.file_name == "a.jpg"
    names = [records.class_names[label] for label in record.objects.labels_G]
    return record.objects.boxes_G4.tolist(), names, [finding.code for finding in findings]


@pytest.mark.parametrize(
    "table",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,80,60,cat,10,20,30,50\n",
        "image,x1,y1,x2,y2,label\nimages/a.jpg,10,20,30,50,cat\n",
        "Image Path;X_Min;Y_Min;X_Max;Y_Max;Category\n/data/set/a.jpg;10;20;30;50;cat\n",
        "file_name\tx\ty\tw\th\tname\na.jpg\t10\t20\t20\t30\tcat\n",
        "image_id,x,y,width,height,class\na,10,20,20,30,cat\n",
        "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
        "cat,10,20,20,30,a.jpg,80,60\n",
        "a.jpg,10,20,30,50,cat\n",
        '\ufeff"filename","xmin","ymin","xmax","ymax","class"\n\n"a.jpg","10","20","30","50"," cat "\n',
    ],
)
def test_one_box_however_the_columns_are_called(tmp_path: Path, table: str) -> None:
    assert read(tmp_path, table) == ([[10, 20, 30, 50]], ["cat"], [])


def test_open_images_has_shares_and_no_suffix(tmp_path: Path) -> None:
    table = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,/m/01yrx,1,0.125,0.5,0.25,1\n"
    assert read(tmp_path, table) == ([[10, 15, 40, 60]], ["/m/01yrx"], [])


def test_open_images_names_its_classes_elsewhere_and_marks_groups(tmp_path: Path) -> None:
    folders.write(tmp_path / "oidv7-class-descriptions-boxable.csv", 'LabelName,DisplayName\n/m/01yrx,"Cat, small"\n')
    header = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
    rows = "a,/m/01yrx,0,0.5,0,0.5,1,0\na,/m/01yrx,0.5,1,0.5,1,0,1\na,/m/other,0,1,0,1,0,0\n"
    assert read(tmp_path, header + rows)[1:] == (["Cat, small", "Cat, small", "/m/other"], [])
    assert read_dataset(tmp_path)[0].images[0].objects.ignore_G.tolist() == [False, True, False]


def test_a_share_counts_for_the_images_own_size_and_small_pixels_are_no_shares(tmp_path: Path) -> None:
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    assert read(tmp_path / "shares", header + "a.jpg,160,120,cat,0,0,0.5,0.5\n")[0] == [[0, 0, 40, 30]]
    assert read(tmp_path / "pixels", header + "a.jpg,80,60,cat,0,0,1,1\n")[0] == [[0, 0, 1, 1]]


def test_the_images_size_is_read_where_corners_leave_the_words_to_it(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,800,600,cat,1,2,3,4\n")
    (record,) = read_dataset(tmp_path)[0].images
    assert (record.height, record.width) == (600, 800)


def test_the_boxs_width_is_not_the_images(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.csv", "image,x,y,width,height,class\na.jpg,1,2,3,4,cat\n")
    (record,) = read_dataset(tmp_path)[0].images
    assert (record.height, record.width) == (0, 0)


def test_a_row_without_numbers_is_an_image_without_objects(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        folders.picture(tmp_path / f"{name}.jpg", seed)
    folders.write(tmp_path / "annotations.csv", "a.jpg,,,,,\nb.jpg,1,2,30,40,dog\n")
    records, findings = read_dataset(tmp_path)
    assert [(record.file_name, len(record.objects)) for record in records.images] == [("a.jpg", 0), ("b.jpg", 1)]
    assert [(finding.code, finding.where) for finding in findings] == [("image-without-annotation", "c.jpg")]


def test_the_split_is_the_files_name_or_a_column(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        folders.picture(tmp_path / "images" / f"{name}.jpg", seed)
    header = "image,x1,y1,x2,y2,label,split\n"
    rows = "a.jpg,1,2,3,4,cat,\nb.jpg,1,2,3,4,cat,\nb.jpg,5,6,7,8,cat,VALID\n"
    folders.write(tmp_path / "train_labels.csv", header + rows)
    folders.write(tmp_path / "test_labels.csv", header + "c.jpg,1,2,3,4,dog,\na.jpg,5,6,7,8,cat,\n")
    folders.write(tmp_path / "classes.csv", "cat,0\ndog,1\n")
    records, findings = read_dataset(tmp_path)
    splits = {record.file_name: record.split for record in records.images}
    assert splits == {"a.jpg": "test", "b.jpg": "val", "c.jpg": "test"}, "held out where two files say otherwise"
    assert [finding.code for finding in findings] == [*["split-conflict"] * 2, "image-without-annotation"]
    assert [len(record.objects) for record in records.images] == [2, 2, 1]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [
        "filename,xmin,ymin,xmax,ymax,class",
        "a.jpg,1,x,3,4,cat",
        "a.jpg,1,nan,3,4,cat",
        "a.jpg,1,2,3",
        "a.jpg,1,2,3,4,",
        ",1,2,3,4,cat",
        "lost.jpg,1,2,3,4,cat",
        "lost too.jpg,1,2,3,4,cat",
        "a.jpg,1,2,3,4,cat,more",
    ]
    boxes, names, codes = read(tmp_path, "\n".join(rows))
    assert (boxes, names) == ([[1, 2, 3, 4]], ["cat"])
    assert sorted(codes) == [*["box-not-numbers"] * 3, "missing-image", "unknown-class", "unknown-image"]
    findings = {finding.code: finding for finding in read_dataset(tmp_path)[1]}
    assert findings["unknown-class"].where == "boxes.csv: row 5"
    assert "got 2 of 3 that match none, first 'lost.jpg'" in findings["missing-image"].line()


def test_an_endless_quote_ends(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    rows = "a.jpg,1,2,3,4,cat\n" + '"' + "b.jpg,1,2,3,4,cat\n" * 10_000
    folders.write(tmp_path / "a.csv", rows)
    records, findings = read_dataset(tmp_path)
    assert len(records.images) == 1
    assert [finding.code for finding in findings] == ["unreadable-annotation"]


@pytest.mark.parametrize("table", ["cat,0\ndog,1\n", "filename,class\na.jpg,cat\n", "", "\0\0\0", "a,b,c,d,e,f\n"])
def test_another_table_is_no_data_set(tmp_path: Path, table: str) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.csv", table)
    with pytest.raises(InputError, match=r"expected annotations, found .* Looked for .*CSV \(\*\.csv"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        "cat,10,20,20,30,a.jpg,80,60\n",  # makesense.ai
        "cat,10,20,20,30,a.jpg,80,60\ncat,10,20,20,30,a.jpg,80,60\n",
        "a.jpg,80,60,cat,10,20,30,50\n",
        "TRAIN,gs://bucket/a.jpg,cat,0.125,0.333333333,,,0.375,0.833333333,,\n",  # Google AutoML
        "UNASSIGNED,gs://b/a.jpg,cat,0.125,0.333333333,0.375,0.333333333,0.375,0.833333333,0.125,0.833333333\n",
        "gs://bucket/a.jpg,cat,0.125,0.333333333,,,0.375,0.833333333,,\n",
        "a.jpg,cat,10,20,20,30\na.jpg,cat,50,40,20,20\n",  # cannot be corners
        "cat;a.jpg;40;30;80;60\ncat;a.jpg;10;20;30;50\n",  # cannot be sizes: they would lie outside
        "a.jpg,50,40,20,20,cat\na.jpg,10,20,20,30,cat\n",  # RetinaNet's order, with sizes
        'image_id,width,height,bbox,source,label\na,80,60,"[10.0, 20.0, 20.0, 30.0]",field,cat\n',
        "image,label,box\na.jpg,cat,10 20 20 30\n",
        "image;label;bounding_box\na.jpg;cat;(10, 20, 20, 30)\n",
        'image,label,bbox\na.jpg,cat,"[10, 20, 30, 50]"\na.jpg,cat,"[30, 20, 80, 60]"\n',  # corners, by their images
        'image,label,xyxy\na.jpg,cat,"[10, 20, 30, 50]"\n',
    ],
)
def test_the_box_by_the_values_of_the_table(tmp_path: Path, table: str) -> None:
    boxes, names, codes = read(tmp_path, table)
    np.testing.assert_allclose(next(box for box in boxes if round(box[0], 3) == 10), [10, 20, 30, 50], atol=1e-4)
    assert (set(names), codes) == ({"cat"}, [])


def test_automl_says_the_split_and_images_without_objects(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        folders.picture(tmp_path / f"{name}.jpg", seed)
    boxes = "0.1,0.2,,,0.4,0.7,,"
    rows = [f"TRAIN,gs://b/a.jpg,owl,{boxes}", f"VALIDATION,gs://b/b.jpg,owl,{boxes}", "TEST,gs://b/c.jpg,,,,,,,,,"]
    folders.write(tmp_path / "import.csv", "\n".join([*rows, *[f"UNASSIGNED,gs://b/d.jpg,owl,{boxes}"] * 9]))
    records, findings = read_dataset(tmp_path)
    assert [(one.file_name, one.split, len(one.objects)) for one in records.images] == [
        ("a.jpg", "train", 1),
        ("b.jpg", "val", 1),
        ("c.jpg", "test", 0),
        ("d.jpg", None, 9),
    ]
    assert findings == []


@pytest.mark.parametrize("table", ["a.jpg,cat,10,20,30,40\n", "cat,10,20,30,40,a.jpg\n"])
def test_numbers_that_may_be_both_are_refused(tmp_path: Path, table: str) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "boxes.csv", table)
    with pytest.raises(
        InputError, match=r"boxes\.csv: expected x1, y1, x2, y2 or x, y, width, height, got numbers that"
    ):
        read_dataset(tmp_path)


def test_columns_that_may_be_several_things_are_refused(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "boxes.csv", "a.jpg,1,2,3,4,5,6,7\n")
    with pytest.raises(InputError, match=r"boxes\.csv: expected a format .* a table without a header"):
        read_dataset(tmp_path)


def test_some_swapped_corners_leave_a_table_of_corners_what_it_is(tmp_path: Path) -> None:
    rows = ["a.jpg,40,30,70,55,cat"] * 19 + ["a.jpg,30,50,10,20,cat"]
    assert read(tmp_path, "\n".join(rows))[0][-1] == [30, 50, 10, 20]


def test_a_column_of_boxes_holds_what_is_none(tmp_path: Path) -> None:
    rows = ['a,"[1, 2, 3, 4]",cat', 'a,"[1, 2, 3]",cat', 'a,"[[1, 2, 3, 4], [5, 6, 7, 8]]",cat', "a,[],cat", "a,,cat"]
    boxes, _, codes = read(tmp_path, "\n".join(["image_id,bbox,label", *rows]))
    assert (boxes, codes) == ([[1, 2, 4, 6]], ["box-not-numbers"] * 2)


@pytest.mark.parametrize("sides", [(60, 80), (600, 800)])
@pytest.mark.parametrize("layout", ["makesense", "automl", "one column", "retinanet"])
def test_through_coco_and_back_each_layout_keeps_its_boxes(tmp_path: Path, layout: str, sides: tuple[int, int]) -> None:
    height, width = sides
    rng = np.random.default_rng(5)
    folders.picture(tmp_path / "set" / "a.png", 1, sides)
    corners = np.sort(rng.uniform(0, 1, (40, 2, 2)) * (width, height), axis=1).reshape(-1, 4).round(3)
    rows = []
    for x1, y1, x2, y2 in corners.tolist():
        size = f"{x2 - x1:.3f},{y2 - y1:.3f}"
        rows.append(
            {
                "makesense": f"cat,{x1},{y1},{size},a.png,{width},{height}",
                "automl": f"TEST,gs://b/a.png,cat,{x1 / width},{y1 / height},,,{x2 / width},{y2 / height},,",
                "one column": f'a,{width},{height},"[{x1}, {y1}, {size}]",cat',
                "retinanet": f"a.png,{x1},{y1},{x2},{y2},cat",
            }[layout]
        )
    head = ["image_id,width,height,bbox,label"] if layout == "one column" else []
    folders.write(tmp_path / "set" / "boxes.csv", "\n".join([*head, *rows]))
    convert(tmp_path / "set", tmp_path / "coco", "coco")
    (record,) = read_dataset(tmp_path / "coco")[0].images
    assert (record.file_name, record.split) == ("a.png", "test" if layout == "automl" else None)
    np.testing.assert_allclose(record.objects.boxes_G4, corners, atol=0.01)


def test_coco_beside_a_table_is_read_as_coco(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "a.csv", "a.jpg,1,2,3,4,cat\n")
    folders.coco_json(
        tmp_path / "a.json", [{"id": 1, "file_name": "a.jpg", "height": 60, "width": 80}], [], [{"id": 1, "name": "x"}]
    )
    assert read_dataset(tmp_path)[0].class_names == ("x",)
    np.testing.assert_allclose(read_dataset(tmp_path, "csv")[0].images[0].objects.boxes_G4, [[1, 2, 3, 4]])
