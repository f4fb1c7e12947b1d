"""COCO files too large to be held, and annotations that say an outline and no box."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask

from pipeline.data.coco import json_stream
from pipeline.data.coco.coco import read_coco
from pipeline.data.coco.segmentation import box_of_segmentation
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from tests.pipeline.data.coco.test_coco import CATEGORIES, box, image
from yolox_core.errors import InputError


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on every file is too large to be read at once."""
    return lambda: monkeypatch.setattr(json_stream, "WHOLE_BYTES", 0)


def document(**more: Any) -> dict[str, Any]:
    images = [image(1, "a.jpg"), image(2, "b.jpg"), {"id": 4}]
    annotations = [box(1, 1), box(2, 2, 7), box(3, 99), "text", {**box(4, 1), "bbox": [1, 2, 3]}]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES, **more}


@pytest.mark.parametrize("order", [("images", "annotations", "categories"), ("categories", "annotations", "images")])
def test_a_large_file_gives_what_a_small_one_gives(
    tmp_path: Path, streamed: Callable[[], None], order: tuple[str, ...]
) -> None:
    folders.picture(tmp_path / "a.jpg", 1)
    folders.picture(tmp_path / "b.jpg", 2)
    content = document()
    text = json.dumps({key: content[key] for key in order})
    (tmp_path / "a.json").write_text("\ufeff" + text, encoding="utf-8")  # some editors begin with this mark
    small, found = read_dataset(tmp_path)
    streamed()
    large, found_again = read_dataset(tmp_path)
    assert found_again == found and len(found) == 4
    assert large.categories == small.categories
    for one, other in zip(small.images, large.images, strict=True):
        assert (one.file_name, one.image_id, one.height) == (other.file_name, other.image_id, other.height)
        np.testing.assert_array_equal(one.objects.boxes_G4, other.objects.boxes_G4)
        np.testing.assert_array_equal(one.objects.labels_G, other.objects.labels_G)


@pytest.mark.parametrize("text", ["", "{", '{"images": [{"id": 1}', '{"images": [NaN]}', "[" * 5000, "\x00"])
def test_a_large_file_that_is_damaged_is_one_finding(tmp_path: Path, streamed: Callable[[], None], text: str) -> None:
    folders.picture(tmp_path / "a.jpg", 1)
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    streamed()
    with pytest.raises(InputError, match="expected annotations") as refused:
        read_dataset(tmp_path)
    assert "\n" not in str(refused.value) and "a.json" in str(refused.value)


def test_a_large_file_of_something_else_is_none(tmp_path: Path, streamed: Callable[[], None]) -> None:
    (tmp_path / "a.json").write_text('{"images": {"a": 1}, "shapes": []}', encoding="utf-8")
    streamed()
    assert json_stream.open_document(tmp_path / "a.json") is None


@pytest.mark.parametrize("annotations", ["", ', "annotations": null', ', "annotations": {"a": 1}'])
def test_a_large_file_without_a_list_of_annotations_is_refused(
    tmp_path: Path, streamed: Callable[[], None], annotations: str
) -> None:
    text = f'{{"images": [{{"id": 1, "file_name": "a.jpg"}}], "categories": [{{"id": 1, "name": "c"}}]{annotations}}}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    streamed()
    with pytest.raises(InputError, match="expected COCO JSON with lists"):
        read_coco(tmp_path / "a.json", tmp_path)


def test_boxes_are_put_around_outlines(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    pixels = np.zeros((60, 80), np.uint8)
    pixels[10:30, 5:45] = 1
    letters = mask.encode(np.asfortranarray(pixels))
    runs = [5 * 60 + 10, *[20, 40] * 39, 20, (80 - 45) * 60 + 30]
    assert sum(runs) == 60 * 80
    outlines: list[Any] = [
        [[5, 10, 45, 10, 45, 30], [5, 10, 5, 30, 20, 20]],
        {"size": [60, 80], "counts": letters["counts"].decode("ascii")},
        {"size": [60, 80], "counts": runs},
    ]
    annotations = [{**box(number, 1, bbox=None), "segmentation": one} for number, one in enumerate(outlines, 1)]
    folders.coco_json(tmp_path / "a.json", [image(1, "a.jpg")], annotations, CATEGORIES)
    records, (finding,) = read_dataset(tmp_path)
    assert records.images[0].objects.boxes_G4.tolist() == [[5, 10, 45, 30]] * 3
    assert finding.code == "box-from-outline" and "3 annotations" in finding.what


@pytest.mark.parametrize(
    "outline",
    [
        None,
        [],
        "text",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, "x", 6]],
        [1, 2, 3, 4, 5, 6],
        {"size": [60], "counts": "a"},
        {"size": [60, -80], "counts": "a"},
        {"size": [1 << 40, 1 << 40], "counts": "a"},
        {"size": [60, 80], "counts": [1, 2]},
        {"size": [60, 80], "counts": [-1, 4801]},
        {"size": [60, 80], "counts": "ä"},
        {"size": [60, 80], "counts": "zzzzzzzzzzzzzzzz~~~~"},
    ],
)
def test_an_outline_that_cannot_be_read_is_no_box(outline: Any) -> None:
    found = box_of_segmentation({"segmentation": outline})
    assert found is None or (0 <= found[0] <= 80 and 0 <= found[1] <= 60 and found[2] <= 80 and found[3] <= 60)
