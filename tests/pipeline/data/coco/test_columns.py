"""A large file of our own is read by columns, and gives what it gives when each entry is looked at."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.coco import coco, columns, json_stream
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.coco.columns import columns_of, read_own
from pipeline.data.parsing.matched_image import Match
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects

CATEGORIES = (Category(3, "cat"), Category(7, "dog"))
LINE = '{"id": 2, "image_id": 4, "category_id": 7, "bbox": [10.0, 2.5, 5.0, 6.0], "area": 30.0, "iscrowd": 0}'


def written(path: Path, images: int = 40) -> DatasetRecords:
    """A file of ours; its second annotation is LINE."""
    rng = np.random.default_rng(1)
    records = [ImageRecord(4, "x/ä.jpg", 60, 80, objects([[1, 2, 3, 4], [10, 2.5, 15, 8.5]]), "test", "a.xml: 1")]
    for number in range(1, images):
        corners = rng.uniform(0, 500, (number % 6, 4)).tolist()
        records.append(ImageRecord(4 + 2 * number, f"{number}.jpg", 0, 640, objects(corners)))
    whole = DatasetRecords(path.parent, CATEGORIES, records)
    write_coco(whole, path)
    return whole


def objects(boxes: list[list[float]]) -> Objects:
    numbers = np.arange(len(boxes))
    return Objects(np.array(boxes, np.float32).reshape(-1, 4), np.minimum(numbers, 1), numbers % 3 == 2)


def told(records: DatasetRecords) -> list[object]:
    images = [
        [one.image_id, one.file_name, one.height, one.width, one.split, one.annotation]
        + [array.tolist() for array in (one.objects.boxes_G4, one.objects.labels_G, one.objects.ignore_G)]
        for one in records.images
    ]
    return [records.categories, images]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is too large to be read at once."""
    monkeypatch.setattr(json_stream, "WHOLE_BYTES", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("piece", [200, 1000, 2**25])
def test_a_file_of_ours_is_read_by_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(columns, "PIECE_BYTES", piece)
    records = written(tmp_path / "a.json")
    read = read_own(tmp_path / "a.json")
    assert read is not None and len(read[1].boxes_N4) == sum(len(one.objects) for one in records.images)
    again = read_coco(tmp_path / "a.json", tmp_path)
    for one, other in zip(again.images, records.images, strict=True):
        np.testing.assert_allclose(one.objects.boxes_G4, other.objects.boxes_G4, rtol=1e-7)
        np.testing.assert_array_equal(one.objects.labels_G, other.objects.labels_G)
        np.testing.assert_array_equal(one.objects.ignore_G, other.objects.ignore_G)
    monkeypatch.setattr(json_stream, "WHOLE_BYTES", 2**25)
    assert told(read_coco(tmp_path / "a.json", tmp_path)) == told(again)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("images", [0, 1, 2])
def test_a_file_of_ours_with_little_in_it(tmp_path: Path, images: int) -> None:
    records = written(tmp_path / "a.json", images)
    if not images:
        records = DatasetRecords(tmp_path, CATEGORIES, [])
        write_coco(records, tmp_path / "a.json")
    assert read_own(tmp_path / "a.json") is not None
    assert [one.image_id for one in read_coco(tmp_path / "a.json", tmp_path).images] == [
        one.image_id for one in records.images
    ]


ALTERED: dict[str, tuple[str, str]] = {
    "an image that is no number": ('"image_id": 4,', '"image_id": "4",'),
    "an image that is true": ('"image_id": 4,', '"image_id": true,'),
    "a fraction": ('"image_id": 4,', '"image_id": 4.0,'),
    "an unknown image": ('"image_id": 4,', '"image_id": 5,'),
    "an unknown class": ('"category_id": 7,', '"category_id": 8,'),
    "no class": ('"category_id": 7, ', ""),
    "a number as text": ("10.0, 2.5", '"10.0", 2.5'),
    "five numbers": ("10.0, 2.5", "10.0, 2.5, 1.0"),
    "a null": ("10.0, 2.5", "null, 2.5"),
    "no bbox": ('"bbox": [10.0, 2.5, 5.0, 6.0], ', ""),
    "a null for a bbox": ("[10.0, 2.5, 5.0, 6.0]", "null"),
    "a large number": ("10.0, 2.5", "1e30, 2.5"),
    "whole numbers": ("10.0, 2.5", "10, 2"),
    "no crowd": (', "iscrowd": 0', ""),
    "a crowd that is true": ('"iscrowd": 0', '"iscrowd": true'),
    "a crowd of two": ('"iscrowd": 0', '"iscrowd": 2'),
    "more of it": ('"iscrowd": 0', '"iscrowd": 0, "note": {"a": [1, "},\\n"]}'),
    "an area that is no number": ('"area": 30.0', '"area": "30"'),
    "an area of no number": ('"area": 30.0', '"area": null'),
    "no id": ('"id": 2, ', ""),
    "two on a line": (LINE + ",\n", LINE + ", "),
    "an empty line": (LINE + ",\n", LINE + ",\n\n"),
    "no comma": (LINE + ",\n", LINE + "\n"),
    "two commas": (LINE + ",\n", LINE + ",,\n"),
    "half a line": ('"bbox": [10.0', '"bbox": '),
    "no object": (LINE, "17"),
    "a list": (LINE, "[1]"),
}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_file_gives_what_a_closer_look_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    written(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    before, after = ALTERED[how]
    at = text.index(LINE)
    assert before in text[at : at + len(LINE) + 2]
    (tmp_path / "a.json").write_text(text[:at] + text[at:].replace(before, after, 1), encoding="utf-8")
    quick = outcome(tmp_path / "a.json")
    monkeypatch.setattr(json_stream, "read_own", lambda path: None)
    monkeypatch.setattr(coco, "columns_of", lambda entries: None)
    assert outcome(tmp_path / "a.json") == quick


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"height": 60', b'"height": NaN'),
        (b"x/\xc3\xa4.jpg", b"x/\xff.jpg"),
        (b'"name": "cat"', b'"name": "c\xff"'),
        (b'"iscrowd": 0', b'"iscrowd": 0, "note": "\xff"'),
        (b'"iscrowd": 0', b'"iscrowd": 0, "note": NaN'),
        (b'"area": 30.0', b'"area": NaN'),
        (b'"id": 3, "name": "cat"', b'"id": 3, "name": "cat", "more": -Infinity'),
    ],
)
def test_what_is_no_json_is_refused_by_columns_too(tmp_path: Path, before: bytes, after: bytes) -> None:
    written(tmp_path / "a.json")
    content = (tmp_path / "a.json").read_bytes()
    assert before in content
    (tmp_path / "a.json").write_bytes(content.replace(before, after, 1))
    assert read_own(tmp_path / "a.json") is None
    assert isinstance(outcome(tmp_path / "a.json"), str)


@pytest.mark.usefixtures("large")
def test_where_a_file_system_has_no_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a.json")
    expected = told(read_coco(tmp_path / "a.json", tmp_path))

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(19, "No such device")

    monkeypatch.setattr(columns, "mmap", refuse)
    assert read_own(tmp_path / "a.json") is None
    assert told(read_coco(tmp_path / "a.json", tmp_path)) == expected


def outcome(path: Path) -> object:
    """What reading a file of any maker gives, or how it is refused."""
    try:
        categories, images, findings = coco.parse(coco.load(path), "a.json", Match)
    except InputError as refused:
        return str(refused).partition("got")[0]
    return told(DatasetRecords(path.parent, categories, images)), findings


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_altered_anywhere(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("altered")
    written(folder / "a.json", 6)
    content = bytearray((folder / "a.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.sampled_from(b'{}[]",:0123456789.e-+tnN \n\\x\xff'))
    (folder / "a.json").write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_stream, "WHOLE_BYTES", 0)
        quick = outcome(folder / "a.json")
        patched.setattr(json_stream, "read_own", lambda path: None)
        patched.setattr(coco, "columns_of", lambda entries: None)
        assert outcome(folder / "a.json") == quick


PLAIN = {"image_id": 1, "category_id": 2, "bbox": [1, 2.5, 3, 4]}
ODD: list[object] = [
    "text",
    None,
    {},
    {**PLAIN, "bbox": [1, 2, 3]},
    {**PLAIN, "bbox": "1234"},
    {**PLAIN, "bbox": {"0": 1, "1": 2, "2": 3, "3": 4}},
    {**PLAIN, "bbox": [1, 2, 3, [4]]},
    {**PLAIN, "bbox": [1, 2, 3, None]},
    {**PLAIN, "bbox": [1, 2, 3, float("nan")]},
    {**PLAIN, "bbox": [1, 2, 3, 10**400]},
    {**PLAIN, "image_id": True},
    {**PLAIN, "image_id": [1]},
    {**PLAIN, "category_id": 2.0},
    {**PLAIN, "category_id": "2"},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: json.dumps(odd)[:60])
def test_an_odd_entry_among_plain_ones_wants_a_closer_look(odd: object) -> None:
    assert columns_of([PLAIN, {**PLAIN, "image_id": "a", "iscrowd": 1}]) is not None
    assert columns_of([PLAIN, odd, PLAIN]) is None


@pytest.mark.usefixtures("large")
def test_without_pyarrow_entry_by_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a.json")
    expected = told(read_coco(tmp_path / "a.json", tmp_path))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert read_own(tmp_path / "a.json") is None
    assert told(read_coco(tmp_path / "a.json", tmp_path)) == expected


def test_without_orjson_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    sizes = 10.0 ** rng.uniform(-9, 9, (3 * coco.BLOCK, 2))
    corners = np.where(rng.random(sizes.shape) < 0.5, sizes, rng.uniform(-10, 640, sizes.shape))
    boxes = np.hstack([corners, corners + sizes]).astype(np.float32)
    boxes[: coco.BLOCK] = rng.uniform(100, 600, (coco.BLOCK, 4)).round(rng.integers(0, 4))  # none of them small
    boxes[7] = [0, -0.0, 80, 1]
    records = DatasetRecords(tmp_path, CATEGORIES, [ImageRecord(1, "a.jpg", 60, 80, objects(boxes.tolist()))])
    write_coco(records, tmp_path / "quick.json")
    monkeypatch.setitem(sys.modules, "orjson", None)
    write_coco(records, tmp_path / "plain.json")
    text = (tmp_path / "quick.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "plain.json").read_text(encoding="utf-8") and "e-0" in text
    entries = json.loads(text)["annotations"]
    for entry, (x1, y1, x2, y2) in zip(entries, boxes.tolist(), strict=True):
        assert entry["bbox"] == [x1, y1, x2 - x1, y2 - y1] and entry["area"] == (x2 - x1) * (y2 - y1)


def test_numbers_that_json_cannot_hold_are_not_written(tmp_path: Path) -> None:
    records = DatasetRecords(tmp_path, CATEGORIES, [ImageRecord(1, "a.jpg", 60, 80, objects([[1, 2, np.inf, 4]]))])
    with pytest.raises(ValueError, match="finite"):
        write_coco(records, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
