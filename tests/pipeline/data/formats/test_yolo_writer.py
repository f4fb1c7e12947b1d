"""Writing YOLO, and the ways there and back: COCO -> YOLO -> COCO, VOC -> COCO."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.formats.read import read_dataset
from pipeline.data.formats.yolo_writer import write_yolo
from pipeline.data.parsing.findings import Finding
from tests.pipeline.data import folders
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects

NAMES = ("cat", "traffic light", "no", "7", "null", "ä: #1", "'quoted\"", "- a")
SIDES = ((60, 80), (1, 20_000), (20_000, 3), (333, 1001))  # (height, width) px


def random_records(root: Path, seed: int = 0) -> DatasetRecords:
    """Images of many sizes on disk, with boxes anywhere in them; ids with gaps, in no order."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(10_000, len(NAMES), replace=False)
    categories = tuple(Category(int(number), name) for number, name in zip(sorted(ids), NAMES, strict=True))
    images = []
    for number, size in enumerate(SIDES):
        name = f"{'abcd'[number]}/images/test.png" if number else "train.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.full((*size, 3), number, np.uint8))
        corners = rng.uniform(0, 1, (25, 2, 2)) * (size[1], size[0])
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
        labels = rng.integers(0, len(NAMES), len(boxes))
        split = (None, "train", "val", "test")[number]
        images.append(ImageRecord(int(97 - number), name, *size, Objects(boxes, labels, np.zeros(25, np.bool_)), split))
    images.append(ImageRecord(3, "empty.png", 60, 80))
    cv2.imwrite(str(root / "empty.png"), np.zeros((60, 80, 3), np.uint8))
    return DatasetRecords(root, categories, images)


def as_yolo(records: DatasetRecords, folder: Path) -> tuple[DatasetRecords, list[Finding]]:
    """Written, with its images, and read again."""
    left_out = write_yolo(records, folder)
    for record in records.images:
        (folder / "images" / record.file_name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(records.path(record), folder / "images" / record.file_name)
    read, findings = read_dataset(folder)
    assert not findings
    return read, left_out


def assert_same(ours: DatasetRecords, theirs: DatasetRecords) -> None:
    assert ours.categories == theirs.categories
    by_id = {record.image_id: record for record in theirs.images}
    assert len(by_id) == len(ours.images) == len(theirs.images)
    for record in ours.images:
        other = by_id[record.image_id]
        assert (record.file_name, record.split) == (other.file_name, other.split)
        assert (record.height, record.width) == (other.height, other.width)
        np.testing.assert_allclose(record.objects.boxes_G4, other.objects.boxes_G4, rtol=0, atol=0.01)
        assert record.objects.labels_G.tolist() == other.objects.labels_G.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_coco_yolo_coco_keeps_everything(tmp_path: Path, seed: int) -> None:
    records = random_records(tmp_path / "pictures", seed)
    write_coco(records, tmp_path / "first.json")
    first = read_coco(tmp_path / "first.json", records.image_root)
    through, left_out = as_yolo(first, tmp_path / "yolo")
    assert not left_out
    write_coco(through, tmp_path / "last.json")
    last = read_coco(tmp_path / "last.json", records.image_root)
    assert_same(records, last)


def test_voc_coco_keeps_everything(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = {}
    for number in range(4):
        boxes = rng.uniform(0, 20_000, (30, 4)).round(3)
        names = [NAMES[label] for label in rng.integers(0, 2, len(boxes))]
        truth[f"{number}.jpg"] = [(name, *box) for name, box in zip(names, boxes.tolist(), strict=True)]
    folders.voc(tmp_path / "voc", {name.removesuffix(".jpg"): boxes for name, boxes in truth.items()})
    folders.write(tmp_path / "voc" / "ImageSets" / "Main" / "val.txt", "2\n")
    records, findings = read_dataset(tmp_path / "voc")
    write_coco(records, tmp_path / "annotations.json")
    back = read_coco(tmp_path / "annotations.json", records.image_root)
    assert not findings
    assert_same(records, back)
    for record in back.images:
        labels = [back.class_names[label] for label in record.objects.labels_G]
        assert labels == [name for name, *_ in truth[record.file_name]]
        np.testing.assert_allclose(
            record.objects.boxes_G4, [box for _, *box in truth[record.file_name]], rtol=0, atol=0.01
        )


def test_other_tools_find_what_they_expect(tmp_path: Path) -> None:
    records = random_records(tmp_path / "pictures")
    write_yolo(records, tmp_path / "yolo")
    described = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    assert described["names"] == dict(enumerate(NAMES))
    assert {key: described[key] for key in ("train", "val", "test")} == {
        "train": "train.txt",
        "val": "val.txt",
        "test": "test.txt",
    }
    assert (tmp_path / "yolo" / "val.txt").read_text() == "./images/c/images/test.png\n"
    # the last folder `images` is the one that is replaced: Ultralytics, data/utils.py, img2label_paths
    assert (tmp_path / "yolo" / "images" / "c" / "labels" / "test.txt").is_file()
    lines = (tmp_path / "yolo" / "labels" / "train.txt").read_text().splitlines()
    assert len(lines) == 25 and all(len(line.split()) == 5 for line in lines)
    assert (tmp_path / "yolo" / "labels" / "empty.txt").read_text() == ""
    assert not (tmp_path / "yolo" / "images" / "train.png").exists(), "copying is the caller's part"


def test_what_yolo_cannot_say_is_named(tmp_path: Path) -> None:
    records = random_records(tmp_path / "pictures")
    record = records.images[0]
    boxes = np.array([[1, 2, 3, 4], [-50, 0, 10, 10], [0, 0, np.nan, 1], [5, 5, 9, 9]], np.float32)
    crowd = np.array([True, False, False, False])
    odd = replace(record, objects=Objects(boxes, np.zeros(4, np.int64), crowd), annotation="a.json")
    nowhere = replace(record, file_name="nowhere.png", image_id=5, height=0, width=0)
    left_out = write_yolo(replace(records, images=[odd, nowhere]), tmp_path / "yolo")
    assert [(finding.code, finding.where, finding.action) for finding in left_out] == [
        ("crowd-not-said", "a.json: object 1", "box left out"),
        ("box-beyond-image", "a.json: object 2", "kept"),
        ("box-not-finite", "a.json: object 3", "box left out"),
        ("unreadable-image", "nowhere.png", "its 25 boxes left out"),
    ]
    assert len((tmp_path / "yolo" / "labels" / "train.txt").read_text().splitlines()) == 2


def test_shares_are_of_the_images_own_size(tmp_path: Path) -> None:
    records = random_records(tmp_path / "pictures")
    doubled = replace(records.images[0], height=120, width=160)
    through, _ = as_yolo(replace(records, images=[doubled]), tmp_path / "yolo")
    np.testing.assert_allclose(through.images[0].objects.boxes_G4, doubled.objects.boxes_G4, rtol=0, atol=0.01)
    assert (through.images[0].height, through.images[0].width) == (60, 80)


def test_two_images_of_one_label_file_are_refused(tmp_path: Path) -> None:
    records = random_records(tmp_path / "pictures")
    twins = [replace(records.images[0], file_name=name) for name in ("a.png", "a.jpg")]
    with pytest.raises(InputError, match=r"got a\.png and a\.jpg, whose labels would be one file\. Rename one"):
        write_yolo(replace(records, images=twins), tmp_path / "yolo")
    with pytest.raises(InputError, match=r"'a\\nb\.png': expected a name without line breaks"):
        write_yolo(replace(records, images=[replace(twins[0], file_name="a\nb.png")]), tmp_path / "yolo")


def test_a_folder_called_train_is_no_split_where_we_wrote_none(tmp_path: Path) -> None:
    folders.picture(tmp_path / "train" / "a.png")
    folders.picture(tmp_path / "other" / "b.png", 1)
    images = [ImageRecord(1, "other/b.png", 60, 80), ImageRecord(2, "train/a.png", 60, 80)]
    through, _ = as_yolo(DatasetRecords(tmp_path, (Category(1, "cat"),), images), tmp_path / "yolo")
    assert [(record.image_id, record.split) for record in through.images] == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "changed",
    [
        {"category_ids": [1, 2], "image_ids": {"images/train.png": 1}},
        {"category_ids": [1] * 8, "image_ids": ["images/train.png"]},
        {"category_ids": [True, *range(2, 9)], "image_ids": {1: 2}},
        {"category_ids": "12345678", "image_ids": None},
        [1],
        None,
    ],
)
def test_a_key_that_does_not_fit_the_folder_is_ignored(tmp_path: Path, changed: object) -> None:
    records = random_records(tmp_path / "pictures")
    through, _ = as_yolo(records, tmp_path / "yolo")
    assert [record.image_id for record in through.images] == [96, 95, 94, 3, 97]
    described = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    described["yolox"] = changed
    (tmp_path / "yolo" / "data.yaml").write_text(yaml.safe_dump(described))
    read, findings = read_dataset(tmp_path / "yolo")
    assert not findings
    assert read.category_ids == tuple(range(1, 9)) and read.class_names == NAMES
    assert [record.image_id for record in read.images] == [1, 2, 3, 4, 5]


def test_an_image_that_was_added_takes_the_image_ids_away_only(tmp_path: Path) -> None:
    records = random_records(tmp_path / "pictures")
    as_yolo(records, tmp_path / "yolo")
    folders.picture(tmp_path / "yolo" / "images" / "new.png")
    read, _ = read_dataset(tmp_path / "yolo")
    assert [record.image_id for record in read.images] == [1, 2, 3, 4, 5, 6]
    assert read.category_ids == records.category_ids
