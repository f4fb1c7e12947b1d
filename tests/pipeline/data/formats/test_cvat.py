"""CVAT for images 1.1."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from tests.pipeline.data import folders
from yolox_core.data.records import ImageRecord
from yolox_core.errors import InputError

META = """<meta><task><name>pets</name><labels>
<label><name>dog</name><type>any</type></label><label><name>cat</name></label>
<label><name>knee</name><parent>dog</parent></label></labels></task></meta>"""
BOX = '<box label="cat" source="manual" occluded="1" xtl="10" ytl="20" xbr="30" ybr="40"></box>'


def document(*images: str, meta: str = META) -> str:
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return f"{head}{meta}{''.join(images)}</annotations>"


def image(content: str, attributes: str = 'id="7" name="a.jpg" width="80" height="60"') -> str:
    return f"<image {attributes}>{content}</image>"


def read(root: Path, content: str) -> tuple[ImageRecord, list[Finding]]:
    folders.picture(root / "images" / "a.jpg")
    folders.write(root / "annotations.xml", document(image(content)))
    records, findings = read_dataset(root)
    assert records.class_names[:2] == ("dog", "cat"), "in the order of the file's own list"
    return records.images[0], findings


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (BOX, [10, 20, 30, 40]),
        ('<polygon label="cat" points="10,30;20,20;30,40"/>', [10, 20, 30, 40]),
        ('<ellipse label="cat" cx="20" cy="30" rx="10" ry="5"/>', [10, 25, 30, 35]),
        ('<mask label="cat" rle="1" left="10" top="20" width="5" height="6"/>', [10, 20, 15, 26]),
    ],
)
def test_each_shape_with_an_area_is_a_box(tmp_path: Path, shape: str, box: list[float]) -> None:
    record, findings = read(tmp_path, shape)
    assert record.objects.boxes_G4.tolist() == [box] and record.objects.labels_G.tolist() == [1] and not findings
    assert (record.height, record.width, record.image_id) == (60, 80, 7)


def test_a_box_that_is_turned_counts_as_the_upright_one_around_it(tmp_path: Path) -> None:
    record, findings = read(tmp_path, BOX.replace("source", 'rotation="90" source').replace('ybr="40"', 'ybr="60"'))
    np.testing.assert_allclose(record.objects.boxes_G4, [[0, 30, 40, 50]], atol=1e-5)
    assert [finding.code for finding in findings] == ["box-turned"]


def test_an_ellipse_that_is_turned_keeps_to_its_outline(tmp_path: Path) -> None:
    record, _ = read(tmp_path, '<ellipse label="cat" cx="40" cy="30" rx="10" ry="20" rotation="30"/>')
    angles = np.linspace(0, 2 * np.pi, 10_001)
    turn = np.radians(30)
    x = 10 * np.cos(angles) * np.cos(turn) - 20 * np.sin(angles) * np.sin(turn)
    y = 10 * np.cos(angles) * np.sin(turn) + 20 * np.sin(angles) * np.cos(turn)
    outline = [40 + x.min(), 30 + y.min(), 40 + x.max(), 30 + y.max()]
    np.testing.assert_allclose(record.objects.boxes_G4, [outline], atol=1e-4)


def test_subsets_are_splits_and_an_image_without_shapes_is_background(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        folders.picture(tmp_path / "images" / f"{name}.jpg", seed)
    entries = [
        image(BOX, 'id="0" name="a.jpg" subset="Train" width="80" height="60"'),
        image("", 'id="1" name="b.jpg" subset="Validation"'),
        image(BOX, 'id="x" name="c.jpg" subset="default"'),
    ]
    folders.write(tmp_path / "annotations.xml", document(*entries))
    records, findings = read_dataset(tmp_path)
    assert [(record.split, len(record.objects)) for record in records.images] == [("train", 1), ("val", 0), (None, 1)]
    assert [(finding.code, finding.where) for finding in findings] == [("image-without-annotation", "images/d.jpg")]


def test_what_cannot_be_read_is_found_and_the_rest_is_read(tmp_path: Path) -> None:
    wrong = [
        BOX.replace('"10"', '"ten"'),
        BOX.replace('xtl="10"', ""),
        BOX.replace("source", 'rotation="nan" source'),
        '<polygon label="cat" points="1,2;3,4"/>',
        '<polygon label="cat" points="1,2;3,4;5"/>',
        BOX.replace('label="cat"', ""),
        '<polyline label="cat" points="1,2;3,4;5,6"/>',
        '<tag label="cat"/>',
    ]
    folders.write(tmp_path / "two.xml", document(image(BOX), image(BOX, 'name="lost.jpg"'), image(BOX, ""), "<track/>"))
    folders.write(tmp_path / "broken.xml", "<annotations><image>")
    record, findings = read(tmp_path, "".join(wrong) + BOX)
    assert record.objects.boxes_G4.tolist() == [[10, 20, 30, 40]]
    assert sorted(finding.code for finding in findings) == [
        *["box-not-numbers"] * 5,
        "duplicate-annotation",
        *["missing-image"] * 2,
        *["shape-without-box"] * 2,
        "unknown-class",
        *["unreadable-annotation"] * 2,
    ]
    assert findings[0].where == "annotations.xml: image a.jpg: box 1"


def test_entities_are_refused(tmp_path: Path) -> None:
    entity = '<!DOCTYPE annotations [<!ENTITY a "cat">]>' + document(image(BOX)).partition("\n")[2]
    folders.picture(tmp_path / "a.jpg")
    folders.write(tmp_path / "annotations.xml", entity)
    with pytest.raises(InputError, match="it declares an entity, a"):
        read_dataset(tmp_path)


def test_voc_beside_it_is_read_as_voc(tmp_path: Path) -> None:
    folders.voc(tmp_path, {"a": [("horse", 1, 2, 3, 4)]})
    folders.write(tmp_path / "annotations.xml", document(image(BOX)))
    assert read_dataset(tmp_path)[0].class_names == ("horse",)
    assert read_dataset(tmp_path, "cvat")[0].class_names == ("dog", "cat")
