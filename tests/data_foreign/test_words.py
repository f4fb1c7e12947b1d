"""Texts as others wrote them: encodings, names of classes, tables that say a thing twice, and what is said of it."""

import json
from pathlib import Path

import pytest

from pipeline.cli.convert import convert
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
@pytest.mark.parametrize("text", ['{"a": "Käfer"}', "image,class\n", "苹\n"])
def test_unicode_is_read_whatever_its_form(encoding: str, text: str) -> None:
    if text == "苹\n" and encoding in ("utf-16-le", "utf-16-be"):
        pytest.skip("two bytes of one sign, without a mark, say nothing of their order")
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
def test_every_reader_takes_every_unicode(tmp_path: Path, make: object, encoding: str) -> None:
    folders.picture(tmp_path / "a.jpg", 1, (40, 60))
    make(tmp_path, encoding)  # type: ignore[operator]
    assert boxes(tmp_path) == {"a.jpg": [(NAMES[0], [5, 6, 20, 24])]}


@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_every_reader_refuses_what_is_no_unicode_by_the_files_name_or_reads_it_as_it_is_said(
    tmp_path: Path, make: object
) -> None:
    folders.picture(tmp_path / "a.jpg", 1, (40, 60))
    make(tmp_path, "cp1252")  # type: ignore[operator]
    said = doctor(tmp_path)
    assert said.code > 0 and "not UTF-8" in said.lines and "\ufffd" not in said.lines
    records, findings = read_dataset(tmp_path, encoding="cp1252")
    assert NAMES[0] in records.class_names and "unreadable-annotation" not in {finding.code for finding in findings}


# names of classes


def test_the_names_of_roboflows_darknet(tmp_path: Path) -> None:
    folder = copied("darknet_labels_of_roboflow", tmp_path)
    assert splits(folder) == {"train": 1, "val": 1, "test": 1}
    assert read_dataset(folder)[0].class_names == ("rook", "pawn") and doctor(folder).boxes == {"pawn": 3}
