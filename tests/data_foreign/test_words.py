"""Texts as others wrote them: encodings, names of classes, tables that say a thing twice, and what is said of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.convert import convert
from pipeline.cli.doctor import Outputs, examine
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.encodings import as_utf8, decoded, decoded_xml
from tests.data_foreign.reading import boxes, copied, doctor, splits
from tests.pipeline.data import folders
from yolox_core.errors import InputError

NAMES = ("Käfer", "苹果")
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


# encodings


def test_a_coco_file_in_utf16(tmp_path: Path) -> None:
    assert boxes(copied("coco_utf16", tmp_path)) == {"f1.jpg": [("fern", [5, 6, 20, 24])]}


def test_an_xml_file_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    assert boxes(copied("voc_in_gb2312", tmp_path)) == {"a.jpg": [("苹果", [5, 6, 20, 24])]}


@pytest.mark.parametrize(
    ("case", "file", "encoding", "names"),
    [
        ("csv_names_in_latin1", "boxes.csv", "latin-1", {"Käfer": 1, "Mücke": 1}),
        ("yolo_names_in_gbk", "classes.txt", "gbk", {"苹果": 1, "香蕉": 1}),
    ],
)
def test_names_in_no_unicode_are_refused_until_their_encoding_is_named(
    tmp_path: Path, case: str, file: str, encoding: str, names: dict[str, int]
) -> None:
    folder = copied(case, tmp_path)
    said = doctor(folder)
    assert said.code == 2 and f"{file}: not UTF-8" in said.lines and next(iter(names)) in said.lines
    with pytest.raises(InputError, match=f"{file}: not UTF-8"):
        convert(folder, tmp_path / "none", "coco")
    convert(folder, tmp_path / "out", "coco", encoding=encoding)
    assert doctor(tmp_path / "out").boxes == names


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    for name in ("gbkk", "hex", "\0"):
        with pytest.raises(InputError, match="--encoding: expected the name of a text encoding"):
            convert(tmp_path, tmp_path / "out", "coco", encoding=name)


@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("text", ['{"a": "Käfer"}', "image,class\n"])
def test_unicode_is_read_whatever_its_form(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    assert decoded(data) == text and as_utf8(data).decode().removeprefix("\ufeff") == text


@pytest.mark.parametrize("encoding", ["gb2312", "gbk", "big5", "euc-jp", "utf-8", "utf-16"])
def test_xml_is_read_in_the_encoding_that_it_declares(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a>日</a>'
    assert decoded_xml(text.encode(encoding)) == text


def test_xml_in_another_encoding_than_it_declares_is_refused_or_read_in_the_one_that_is_named() -> None:
    data = '<?xml version="1.0" encoding="utf-8"?><a>苹果</a>'.encode("gbk")
    with pytest.raises(ValueError, match="not UTF-8"):
        decoded_xml(data)
    assert "苹果" in decoded_xml(data, "gbk")
    with pytest.raises(ValueError, match="unknown encoding, klingon"):
        decoded_xml(b'<?xml version="1.0" encoding="klingon"?><a/>')


def by_coco(root: Path, encoding: str) -> None:
    image = {"id": 1, "file_name": "a.jpg", "height": 40, "width": 60}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 20, 24]}
    category = {"id": 1, "name": NAMES[0]}
    document = {"images": [image], "annotations": [box], "categories": [category]}
    write(root / "a.json", json.dumps(document, ensure_ascii=False), encoding)


def by_voc(root: Path, encoding: str) -> None:
    folders.voc_xml(root / "a.xml", [(NAMES[0], 5, 6, 25, 30)])
    again(root / "a.xml", encoding)


def by_yolo(root: Path, encoding: str) -> None:
    write(root / "a.txt", "0 0.25 0.45 0.33333333 0.6\n", encoding)
    write(root / "classes.txt", f"{NAMES[0]}\n", encoding)


def by_yaml(root: Path, encoding: str) -> None:
    write(root / "a.txt", "0 0.25 0.45 0.33333333 0.6\n", encoding)
    write(root / "data.yaml", f"names: [{NAMES[0]}]\n", encoding)


def by_csv(root: Path, encoding: str) -> None:
    write(root / "a.csv", f"image,class,xmin,ymin,xmax,ymax\r\na.jpg,{NAMES[0]},5,6,25,30\r\n", encoding)


def by_labelme(root: Path, encoding: str) -> None:
    shape = {"label": NAMES[0], "shape_type": "rectangle", "points": [[5, 6], [25, 30]]}
    document = {"shapes": [shape], "imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60}
    write(root / "a.json", json.dumps(document, ensure_ascii=False), encoding)


def by_label_studio(root: Path, encoding: str) -> None:
    value = {"x": 100 / 12, "y": 15, "width": 100 / 3, "height": 60, "rectanglelabels": [NAMES[0]]}
    result = {"type": "rectanglelabels", "value": value, "original_width": 60, "original_height": 40}
    tasks = [{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [result]}]}]
    write(root / "a.json", json.dumps(tasks, ensure_ascii=False), encoding)


def by_cvat(root: Path, encoding: str) -> None:
    box = f'<box label="{NAMES[0]}" xtl="5" ytl="6" xbr="25" ybr="30"/>'
    image = f'<image id="0" name="a.jpg" width="60" height="40">{box}</image>'
    write(root / "a.xml", f"<annotations>{image}</annotations>", encoding)


def by_imagefolder(root: Path, encoding: str) -> None:
    entry = {"file_name": "a.jpg", "objects": {"bbox": [[5, 6, 20, 24]], "categories": [NAMES[0]]}}
    write(root / "metadata.jsonl", json.dumps(entry, ensure_ascii=False), encoding)


def write(path: Path, text: str, encoding: str) -> None:
    path.write_bytes(text.encode(encoding))


def again(path: Path, encoding: str) -> None:
    write(path, path.read_text(encoding="utf-8"), encoding)


READERS = (by_coco, by_voc, by_yolo, by_yaml, by_csv, by_labelme, by_label_studio, by_cvat, by_imagefolder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_every_reader_takes_every_unicode(tmp_path: Path, make: Callable[[Path, str], None], encoding: str) -> None:
    folders.picture(tmp_path / "a.jpg", 1, (40, 60))
    make(tmp_path, encoding)
    assert boxes(tmp_path) == {"a.jpg": [(NAMES[0], [5, 6, 20, 24])]}


@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_every_reader_refuses_what_is_no_unicode_by_the_files_name_or_reads_it_as_it_is_said(
    tmp_path: Path, make: Callable[[Path, str], None]
) -> None:
    folders.picture(tmp_path / "a.jpg", 1, (40, 60))
    make(tmp_path, "cp1252")
    said = doctor(tmp_path)
    assert said.code > 0 and "not UTF-8" in said.lines and "\ufffd" not in said.lines
    records, findings = read_dataset(tmp_path, encoding="cp1252")
    assert NAMES[0] in records.class_names and "unreadable-annotation" not in {finding.code for finding in findings}


# names of classes


def test_the_names_of_roboflows_darknet(tmp_path: Path) -> None:
    folder = copied("darknet_labels_of_roboflow", tmp_path)
    assert splits(folder) == {"train": 1, "val": 1, "test": 1}
    assert read_dataset(folder)[0].class_names == ("rook", "pawn") and doctor(folder).boxes == {"pawn": 3}


def test_lists_of_names_that_differ_are_reported(tmp_path: Path) -> None:
    folder = copied("darknet_labels_of_roboflow", tmp_path)
    assert "class-names-differ" not in doctor(folder).codes
    folders.write(folder / "valid" / "_darknet.labels", "pawn\nrook\n")
    said = doctor(folder)
    assert said.codes["class-names-differ"] == 1 and "valid/_darknet.labels: expected the names of test/" in said.lines


def test_a_region_to_ignore_is_no_class(tmp_path: Path) -> None:
    folder = copied("labelme_ignore_label", tmp_path)
    said = doctor(folder)
    assert boxes(folder) == {"l.jpg": [("leaf", [5, 6, 20, 24])]}
    assert said.boxes == {"leaf": 1} and said.codes["crowd"] == 1
    ((record,), names) = read_dataset(folder)[0].images, read_dataset(folder)[0].class_names
    assert names == ("leaf",) and record.objects.ignore_G.tolist() == [False, True]


def test_a_region_to_ignore_is_one_of_every_class_in_every_reader_of_shapes(tmp_path: Path) -> None:
    words = {"cat": (1, 1, 20, 20), "dog": (30, 1, 50, 20), "__ignore__": (5, 25, 50, 38)}
    for name in ("voc", "csv"):
        folders.picture(tmp_path / name / "a.jpg", 1, (40, 60))
    folders.voc_xml(tmp_path / "voc" / "a.xml", [(name, *box) for name, box in words.items()], (40, 60))
    rows = "\n".join(f"a.jpg,{name},{','.join(map(str, box))}" for name, box in words.items())
    folders.write(tmp_path / "csv" / "a.csv", f"image,class,xmin,ymin,xmax,ymax\n{rows}\n")
    for name in ("voc", "csv"):
        records = read_dataset(tmp_path / name)[0]
        rows_of = sorted((label, ignore) for _, label, ignore in records.images[0].objects.rows())
        assert records.class_names == ("cat", "dog")
        assert rows_of == [(0, False), (0, True), (1, False), (1, True)]


# the same in two files


def test_rows_of_two_tables_count_once(tmp_path: Path) -> None:
    folder = copied("csv_table_of_all_and_of_splits", tmp_path)
    said = doctor(folder)
    assert splits(folder) == {"train": 2, "test": 1} and said.boxes == {"owl": 3}
    assert said.codes["same-in-two-files"] == 1 and "box-duplicate" not in said.codes
    assert "data/test_labels.csv, data/train_labels.csv: 3 boxes stand in data/all_labels.csv, too" in said.lines


def test_a_row_that_differs_in_the_other_table_is_another_box(tmp_path: Path) -> None:
    folder = copied("csv_table_of_all_and_of_splits", tmp_path)
    table = folder / "data" / "test_labels.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("28,30", "29,30"), encoding="utf-8")
    said = doctor(folder)
    assert said.boxes == {"owl": 4} and "2 boxes stand in" in said.lines


def test_images_of_two_coco_files_count_once(tmp_path: Path) -> None:
    for name in "ab":
        folders.picture(tmp_path / "images" / f"{name}.jpg", ord(name), (40, 60))
    images = [{"id": at, "file_name": f"{name}.jpg", "height": 40, "width": 60} for at, name in enumerate("ab", 1)]
    found = [{"id": at, "image_id": at, "category_id": 1, "bbox": [5, 6, 20, 24]} for at in (1, 2)]
    for split in ("train", "test"):
        folders.coco_json(
            tmp_path / "annotations" / f"instances_{split}.json", images, found, [{"id": 1, "name": "owl"}]
        )
    said = doctor(tmp_path)
    assert said.boxes == {"owl": 2} and said.codes["same-in-two-files"] == 1 and splits(tmp_path) == {"test": 2}
    assert "2 images have the same boxes in" in said.lines and "duplicate-image-entry" not in said.codes


# one format taken for another


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    folder = copied("csv_decimal_comma", tmp_path)
    assert boxes(folder) == {"s.jpg": [("ship", [6, 4, 24, 20]), ("ship", [30, 10, 15, 20])]}


def test_a_panoptic_file_gives_the_boxes_of_its_segments(tmp_path: Path) -> None:
    folder = copied("coco_panoptic", tmp_path)
    expected = [("man", [30, 10, 10, 25]), ("tree", [0, 0, 20, 40])]
    assert list(boxes(folder).values()) == [expected] and "unknown-class" not in doctor(folder).codes


def test_a_table_without_a_class_is_named_with_its_columns(tmp_path: Path) -> None:
    said = doctor(copied("csv_without_class", tmp_path))
    assert said.code == 2
    assert "boxes.csv: no column for the class; its columns are image, xmin, ymin, xmax, ymax" in said.lines


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '{"images": [], "annotations": []}', "a.json: lacks categories."),
        ("a.json", '{"images": [], "categories": {}}', "a.json: lacks annotations, categories."),
        ("a.json", '{"images": [', "a.json: expected JSON"),
        ("a.csv", "image,class,x\n", "a.csv: no column for the box; its columns are image, class, x."),
        ("a.tsv", "image\tx1\ty1\tx2\ty2\n", "a.tsv: no column for the class; its columns are image, x1, y1, x2, y2."),
        ("a.xml", "<?xml version='1.0'?><data/>", "a.xml: expected <annotation> or <annotations>, got <data>."),
    ],
)
def test_a_near_miss_names_its_file_and_what_it_lacks(tmp_path: Path, name: str, content: str, expected: str) -> None:
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / name, content)
    with pytest.raises(InputError) as refused:
        read_dataset(tmp_path)
    assert expected in str(refused.value)


def test_labels_that_are_none_are_refused_as_a_whole(tmp_path: Path) -> None:
    folder = copied("yolo_not_yolo", tmp_path)
    said = doctor(folder)
    assert said.code == 2 and said.lines.count("\n") == 0 and "k.txt" in said.lines and "KITTI" in said.lines
    folders.write(folder / "labels" / "k.txt", "some words\nand others\n")
    assert "without one that can be used. First: labels/k.txt: line 1" in doctor(folder).lines


def test_a_set_without_a_box_is_an_error_of_every_command(tmp_path: Path) -> None:
    folder = copied("coco_without_any_box", tmp_path)
    said = doctor(folder)
    assert said.code == 1 and said.codes == {"no-usable-box": 1} and "expected boxes, got 2 images" in said.lines
    for refused in (doctor(folder, tmp_path / "fixed").lines, refusal(folder, tmp_path / "out")):
        assert "expected boxes, got 2 images without any usable one" in refused
    assert not (tmp_path / "fixed").exists() and not (tmp_path / "out").exists()


def refusal(folder: Path, out: Path) -> str:
    with pytest.raises(InputError) as refused:
        convert(folder, out, "coco")
    return str(refused.value)


def test_what_nearly_all_entries_have_in_common_is_one_finding(tmp_path: Path) -> None:
    """YOLO's labels in pixels: all but one box lie outside, and one finding asks whether they are pixels."""
    folders.picture(tmp_path / "images" / "a.jpg")
    pixels = "".join(f"0 {10 + at} 20 5 5\n" for at in range(30))
    folders.write(tmp_path / "labels" / "a.txt", f"0 0.5 0.5 0.5 0.5\n{pixels}")
    said = doctor(tmp_path)
    assert said.codes["box-outside"] == 1 and "30 of 31 entries fail alike" in said.lines
    assert "are these pixels where shares" in said.lines


def test_what_some_entries_have_in_common_stays_a_finding_each(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    good = "".join(f"0 0.5 0.5 0.{at + 10} 0.5\n" for at in range(20))
    folders.write(tmp_path / "labels" / "a.txt", good + "0 20 20 5 5\n" * 12)
    assert doctor(tmp_path).codes["box-outside"] == 12


# what is said


def test_unused_classes_are_one_line(tmp_path: Path) -> None:
    said = doctor(copied("every_unused_class_a_line", tmp_path))
    assert said.codes["class-unused"] == 1 and "59 of 60 classes: kind0, kind1" in said.lines
    assert "1 usable boxes (kind7 1);" in said.lines


def test_copies_that_differ_say_in_which_boxes(tmp_path: Path) -> None:
    said = doctor(copied("copies_differ_by_one_and_one", tmp_path))
    assert "only here 1 of 1 boxes: elk [5, 6, 27, 30]; only there 1 of 1 boxes: elk [5, 6, 25, 30]" in said.lines
    assert said.summary["images"] == 2 and said.boxes == {"elk": 2}


def test_advice_is_never_worse_than_what_is_in_use(tmp_path: Path) -> None:
    assert "too-small-for-input" not in doctor(copied("advice_names_the_size_in_use", tmp_path)).codes


def test_the_first_cause_is_the_worst(tmp_path: Path) -> None:
    said = doctor(copied("refusal_names_a_note_as_cause", tmp_path))
    assert said.code == 2 and "pictures/p1.png" in said.lines and "box-from-outline" not in said.lines


def test_no_message_speaks_of_the_folder_of_an_unpacked_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for case in ("csv_without_class", "yolo_names_in_gbk", "yolo_not_yolo", "coco_without_any_box"):
        archive = shutil.make_archive(str(tmp_path / case), "zip", copied(case, tmp_path))
        said = doctor(Path(archive))
        assert said.code and f"{case}.zip" in said.lines and "sources" not in said.lines


@pytest.mark.parametrize(
    ("case", "encoding"),
    [
        ("coco_utf16", None),
        ("csv_names_in_latin1", "latin-1"),
        ("voc_in_gb2312", None),
        ("yolo_names_in_gbk", "gbk"),
        ("darknet_labels_of_roboflow", None),
        ("labelme_ignore_label", None),
        ("csv_table_of_all_and_of_splits", None),
        ("csv_decimal_comma", None),
        ("coco_panoptic", None),
        ("copies_differ_by_one_and_one", None),
        ("every_unused_class_a_line", None),
    ],
)
def test_the_repaired_copy_is_clean(tmp_path: Path, case: str, encoding: str | None) -> None:
    """But for what only people can mend: classes without objects."""
    examine(str(copied(case, tmp_path)), outputs=Outputs(fixed=tmp_path / "fixed"), encoding=encoding)
    assert set(doctor(tmp_path / "fixed").codes) <= {"few-objects", "crowd", "class-unused"}
