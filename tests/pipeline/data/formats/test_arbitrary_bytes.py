"""Whatever an annotation file holds, each reader ends with a data set or with one line; it never breaks or hangs.

Bytes of any kind, valid documents with bytes flipped or cut, valid documents with odd values in them, and the few
documents known to fill memory or stack.
"""

import json
import math
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from yolox_core.errors import InputError

CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,80,60,cat,1,2,30,40\na.jpg,80,60,dog,5,6,7,8\n"
COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 60, "width": 80, "split": "train", "annotation": "a"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
    "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 4, "name": "dog"}],
}
LABELME = {
    "shapes": [
        {"label": "cat", "points": [[1, 2], [30, 40]], "shape_type": "rectangle", "group_id": 1},
        {"label": "dog", "points": [[1, 2], [30, 40], [5, 50]], "shape_type": "polygon", "group_id": 2},
    ],
    "imagePath": "a.jpg",
    "imageHeight": 60,
    "imageWidth": 80,
}
REGION = {
    "id": "r",
    "value": {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]},
    "original_width": 80,
    "original_height": 60,
}
LABEL_STUDIO = [
    {"id": 1, "annotations": [{"result": [REGION], "was_cancelled": False}], "data": {"image": "/data/upload/a.jpg"}}
]
VOC = (
    "<annotation><filename>a.jpg</filename><size><width>80</width><height>60</height></size><object><name>cat</name>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
)
CVAT = (
    '<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta><image id="0" name="a.jpg" '
    'width="80" height="60" subset="train"><box label="cat" xtl="1" ytl="2" xbr="30" ybr="40" rotation="0"/>'
    '<polygon label="dog" points="1,2;30,40;5,50"/></image></annotations>'
)
IMAGEFOLDER: dict[str, Any] = {
    "file_name": "a.jpg",
    "image_id": 7,
    "width": 80,
    "height": 60,
    "objects": {"bbox": [[1, 2, 30, 40], [5.5, 6, 7, 8]], "categories": [0, 2]},
}
OBJECTS = json.dumps(IMAGEFOLDER["objects"]).replace('"', '""')
DATA_YAML = (
    "path: .\ntrain: images\nnames: {0: cat, 1: dog}\nyolox: {category_ids: [3, 7], image_ids: {images/a.jpg: 5}}\n"
)

# reader -> (format, the file that is attacked, what it should hold)
READERS = {
    "coco": ("coco", "a.json", json.dumps(COCO)),
    "voc": ("voc", "a.xml", VOC),
    "yolo labels": ("yolo", "labels/a.txt", "0 .5 .5 .1 .1\n1 .1 .1 .5 .1 .5 .5\n"),
    "yolo names": ("yolo", "data.yaml", DATA_YAML),
    "csv": ("csv", "a.csv", CSV),
    "csv by values": ("csv", "a.csv", "cat,1,2,30,40,a.jpg,80,60\ndog,5,6,7,8,a.jpg,80,60\n"),
    "csv in one column": ("csv", "a.csv", 'image_id,bbox,label\na,"[1, 2, 30, 40]",cat\na,"[5, 6, 7, 8]",dog\n'),
    "labelme": ("labelme", "a.json", json.dumps(LABELME)),
    "label studio": ("label_studio", "a.json", json.dumps(LABEL_STUDIO)),
    "cvat": ("cvat", "a.xml", CVAT),
    "imagefolder": ("imagefolder", "metadata.jsonl", json.dumps(IMAGEFOLDER)),
    "imagefolder table": ("imagefolder", "metadata.csv", f'file_name,objects\na.jpg,"{OBJECTS}"\n'),
}
JSON_READERS = {"coco": COCO, "labelme": LABELME, "label studio": LABEL_STUDIO, "imagefolder": IMAGEFOLDER}
HUGE = 10**400
ODD = [None, True, False, -1, 0, 1e9, 1e308, -1e308, 2**63, HUGE, math.nan, math.inf, -math.inf, "", "nan", "\ud800"]
ODD += ["a\nb\x1b[31m", "\0", "9" * 5000, [], {}, [[]], {"id": 1}, "../../etc/passwd", "/", "a" * 100_000]
NUMBERS = ["1e9", "1e308", "1e999", "-1", "nan", "inf", "9" * 5000, "", " ", "0x10", "1_0", "\u0661", "1,5", "a;b", '"']

few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@contextmanager
def folder_of(reader: str) -> Iterator[tuple[Path, Path]]:
    """A whole data set of one image for a reader, and the file of it that is to be attacked."""
    _, name, content = READERS[reader]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folders.picture(root / "images" / "a.jpg")
        if reader == "yolo names":
            folders.write(root / "labels" / "a.txt", "0 .5 .5 .1 .1\n")
        folders.write(root / name, content)
        yield root, root / name


def check(reader: str, root: Path) -> None:
    """The reader answers, by itself and among the others, and what it answers can be written and read again."""
    for format in (READERS[reader][0], "auto"):
        try:
            records, findings = read_dataset(root, format)
        except InputError as refused:
            assert str(refused) and len(str(refused).splitlines()) == 1
            continue
        for finding in findings:
            assert len(finding.line().splitlines()) == 1 and len(finding.line()) < 2000
        for record in records.images:
            assert record.file_name == "a.jpg"
            assert np.isfinite(record.objects.boxes_G4).all() and np.abs(record.objects.boxes_G4).max(initial=0) < 1e12
            assert record.objects.labels_G.min(initial=0) >= 0
            assert record.objects.labels_G.max(initial=-1) < max(1, len(records.categories))
        write_coco(records, root / "out" / "written.json")
        again = read_coco(root / "out" / "written.json", root)
        assert [len(image.objects) for image in again.images] == [len(image.objects) for image in records.images]
        (root / "out" / "written.json").unlink()


@pytest.mark.parametrize("reader", READERS)
def test_what_is_valid_is_read(reader: str) -> None:
    with folder_of(reader) as (root, _):
        for format in (READERS[reader][0], "auto"):
            records, findings = read_dataset(root, format)
            assert not [finding for finding in findings if finding.code != "no-class-names"]
            assert [len(record.objects) > 0 for record in records.images] == [True]


@pytest.mark.parametrize("reader", READERS)
def test_any_bytes(reader: str) -> None:
    start = READERS[reader][2][:12].encode()

    with folder_of(reader) as (root, path):

        @few
        @given(st.binary(max_size=300), st.booleans())
        def attack(data: bytes, is_started: bool) -> None:
            path.write_bytes(start + data if is_started else data)
            check(reader, root)

        attack()


@pytest.mark.parametrize("reader", READERS)
def test_flipped_and_cut_bytes(reader: str) -> None:
    valid = READERS[reader][2].encode()
    place = st.integers(0, len(valid) - 1)
    flips = st.lists(st.tuples(place, st.integers(1, 255)), max_size=4)

    with folder_of(reader) as (root, path):

        @few
        @given(flips, place, st.integers(0, 40), st.binary(max_size=8))
        def attack(flipped: list[tuple[int, int]], start: int, length: int, put: bytes) -> None:
            data = bytearray(valid)
            for at, bits in flipped:
                data[at] ^= bits
            data[start : start + length] = put
            path.write_bytes(data)
            check(reader, root)

        attack()


@pytest.mark.parametrize("reader", JSON_READERS)
def test_odd_values_in_json(reader: str) -> None:
    document = JSON_READERS[reader]
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]

    with folder_of(reader) as (root, path):

        @few
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            copy = json.loads(json.dumps(document))
            for _ in range(data.draw(st.integers(1, 2))):
                value = json.dumps(data.draw(st.sampled_from([*ODD, deep])))
                _replace_somewhere(copy, json.loads(value), data)
            path.write_text(json.dumps(copy))
            check(reader, root)

        attack()


def _replace_somewhere(document: Any, value: Any, data: st.DataObject) -> None:
    """Put `value` in the place of any one value of the document, at any depth."""
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], (dict, list)) or data.draw(st.integers(0, 3)) == 0:
            node[key] = value
            return
        node = node[key]


@pytest.mark.parametrize(
    "reader", ["csv", "csv by values", "csv in one column", "yolo labels", "voc", "cvat", "yolo names"]
)
def test_odd_numbers_in_text(reader: str) -> None:
    valid = READERS[reader][2]
    digits = [at for at, sign in enumerate(valid) if sign.isdigit()]

    with folder_of(reader) as (root, path):

        @few
        @given(st.lists(st.tuples(st.sampled_from(digits), st.sampled_from(NUMBERS)), min_size=1, max_size=3))
        def attack(puts: list[tuple[int, str]]) -> None:
            text = valid
            for at, number in sorted(puts, reverse=True):
                text = text[:at] + number + text[at + 1 :]
            path.write_text(text, encoding="utf-8")
            check(reader, root)

        attack()


@pytest.mark.parametrize("format", ["voc", "coco", "yolo"])
def test_a_box_as_wide_as_two_of_the_largest_numbers_is_dropped(tmp_path: Path, format: str) -> None:
    """What is read must be written and read again; a width is a difference, and a share is multiplied."""
    folders.picture(tmp_path / "images" / "a.jpg")
    if format == "voc":
        folders.voc_xml(tmp_path / "a.xml", [("cat", -1e9, 0, 1e9, 9), ("cat", 1, 2, 3, 4)])
    elif format == "coco":
        boxes = [{**COCO["annotations"][0], "bbox": bbox} for bbox in ([1e9, 0, 1e9, 9], [1, 2, 2, 2])]
        folders.write(tmp_path / "a.json", json.dumps({**COCO, "annotations": boxes}))
    else:
        folders.write(tmp_path / "labels" / "a.txt", "0 .5 .5 1e9 1\n0 .025 .05 .025 .0333333\n")
        folders.write(tmp_path / "classes.txt", "cat\n")
    records, findings = read_dataset(tmp_path)
    np.testing.assert_allclose(records.images[0].objects.boxes_G4, [[1, 2, 3, 4]], atol=1e-4)
    assert [finding.code for finding in findings] == ["box-not-finite"]
    assert findings[0].where.endswith("object 1")


def _laughs(root_tag: str) -> str:
    names = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "haha">{names}]><{root_tag}>&l11;</{root_tag}>'


YAML_LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
YAML_MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
)
BOMBS = [
    ("voc", _laughs("annotation")),
    ("cvat", _laughs("annotations")),
    ("voc", VOC.replace("</annotation>", "<a>" * 100_000 + "</a>" * 100_000 + "</annotation>")),
    ("cvat", CVAT.replace("</annotations>", "<label>" * 100_000 + "</label>" * 100_000 + "</annotations>")),
    ("coco", "[" * 1_000_000),
    ("coco", '{"images": ' + '{"a": ' * 100_000),
    *[("coco", json.dumps(COCO).replace("[1, 2, 3, 4]", "[" * depth + "]" * depth)) for depth in range(700, 1000, 20)],
    *[("labelme", json.dumps(LABELME).replace("[1, 2]", "[" * d + "]" * d)) for d in range(700, 1000, 20)],
    *[("label studio", json.dumps(LABEL_STUDIO).replace('["cat"]', "[" * d + "]" * d)) for d in range(700, 1000, 20)],
    *[("imagefolder", json.dumps(IMAGEFOLDER).replace("[0, 2]", "[" * d + "]" * d)) for d in range(700, 1000, 20)],
    ("imagefolder", '{"file_name": "a.jpg", "objects": ' + "[" * 1_000_000),
    ("imagefolder", json.dumps(IMAGEFOLDER).replace("[0, 2]", "[1000000000, 999999999]")),
    ("imagefolder table", 'file_name,objects\na.jpg,"' + "[" * 1_000_000),
    ("labelme", '{"shapes": ' + "[" * 1_000_000),
    ("label studio", '[{"annotations": ' + "[" * 1_000_000),
    ("yolo names", YAML_LAUGHS + "names: *a11\n"),
    ("yolo names", YAML_LAUGHS + "train: *a11\nnames: [cat, dog]\n"),
    ("yolo names", YAML_MERGES + "names: [cat, dog]\n"),
    ("yolo names", "names: &a [*a]\n"),
    ("yolo names", "names: [0x" + "f" * 10_000 + "]\n"),
    ("yolo names", "names: [" + "1:" * 5000 + "1]\n"),
    ("yolo names", "names: [" + "1:" * 5000 + "1.5]\n"),
    ("yolo names", 'names: [!!int "", !!bool x]\n'),
    ("yolo names", "names: [2001-99-99, 0001-01-01 00:00:00 +99:00]\n"),
    ("yolo names", "- " * 100_000),
    ("yolo names", "names: {1000000000: cat}\n"),
    ("yolo labels", "1000000000 .5 .5 .1 .1\n" * 1000),
    ("yolo labels", "0 " + "1e9 " * 100_000),
    ("yolo labels", "0 .5 .5 1e9 1e9\n9999 .5 .5 1e308 1\n"),
    ("csv", CSV.replace(",80,60,", ",1000000000,1000000000,")),
    ("csv", CSV + '"' * 1_000_001),
    ("csv", "," * 1_000_000),
    ("cvat", CVAT.replace('"80"', '"1000000000"').replace('"1"', '"1e9"')),
    ("coco", json.dumps(COCO).replace("80", "1e999").replace("60", "1000000000")),
    ("label studio", json.dumps(LABEL_STUDIO).replace("/data/upload/a.jpg", "http://[" + "?d=a&" * 10_000)),
]


@pytest.mark.parametrize(("reader", "text"), BOMBS, ids=[f"{n}-{reader}" for n, (reader, _) in enumerate(BOMBS)])
def test_what_is_made_to_fill_memory_is_refused_at_once(reader: str, text: str) -> None:
    with folder_of(reader) as (root, path):
        path.write_text(text)
        started = time.process_time()
        tracemalloc.start()
        try:
            check(reader, root)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 128 * 2**20
        assert time.process_time() - started < 10
