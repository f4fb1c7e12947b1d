"""`yolox convert` as one types it."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.data.formats.read import read_dataset
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.data import folders

CAT, DOG = ("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "source", {f"image{number}": [CAT, DOG] for number in range(3)})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_and_back(yolox: Yolox, source: Path) -> None:
    before = contents(source)
    assert yolox("convert", source, "yolo", "--to", "yolo").code == 0
    ended = yolox("convert", "yolo", "new/coco", "--to", "coco", "--format", "yolo")
    assert ended.code == 0 and "3 images, 6 boxes read, written as coco; 0 findings" in ended.out
    assert contents(source) == before, "the source is only read"
    first, last = read_dataset(source)[0], read_dataset(Path("new/coco"))[0]
    assert first.categories == last.categories
    for ours, theirs in zip(first.images, last.images, strict=True):
        assert (ours.image_id, ours.file_name) == (theirs.image_id, theirs.file_name)
        assert ours.objects.boxes_G4.tolist() == theirs.objects.boxes_G4.tolist()
        copy = last.path(theirs)
        assert copy.read_bytes() == first.path(ours).read_bytes()
        assert not copy.is_symlink() and copy.stat().st_nlink == 1
    assert not list(Path().rglob("*.partial"))


def test_what_is_left_out_is_printed(yolox: Yolox, tmp_path: Path) -> None:
    folders.picture(tmp_path / "coco" / "a.jpg")
    image = {"id": 1, "file_name": "a.jpg", "height": 0, "width": 0}
    crowd = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1}
    single = {"id": 2, "image_id": 1, "category_id": 1, "bbox": [5, 6, 7, 8]}
    folders.coco_json(tmp_path / "coco" / "a.json", [image], [crowd, single], [{"id": 1, "name": "cat"}])
    ended = yolox("convert", tmp_path / "coco", "out", "--to", "yolo")
    assert ended.code == 0 and "crowd-not-said" in ended.out and "1 findings" in ended.out
    assert yolox("convert", tmp_path / "coco", "again", "--to", "coco").code == 0
    (written,) = json.loads(Path("again/annotations.json").read_text())["images"]
    assert (written["height"], written["width"]) == (60, 80), "a size that was not annotated is the image's own"


def test_a_folder_with_content_is_refused(yolox: Yolox, source: Path, tmp_path: Path) -> None:
    folders.write(tmp_path / "full" / "mine.txt", "precious")
    yolox("convert", source, tmp_path / "full", "--to", "yolo").refused("full", "expected a new or empty folder")
    yolox("convert", source, tmp_path / "full" / "mine.txt", "--to", "yolo").refused("mine.txt", "new or empty")
    assert contents(tmp_path / "full") == {"mine.txt": b"precious"}
    yolox("convert", source, source / "inside", "--to", "yolo").refused("inside", "expected a folder outside of")
    (tmp_path / "empty").mkdir()
    assert yolox("convert", source, tmp_path / "empty", "--to", "yolo").code == 0
    assert len(contents(tmp_path / "empty")) == 7


def test_another_format_is_refused(yolox: Yolox, source: Path) -> None:
    yolox("convert", source, "out", "--to", "voc").refused("--to: expected coco or yolo, got 'voc'")
    yolox("convert", source, "out", "--to", "coco", "--format", "cocoo").refused("format: expected one of")
    assert not Path("out").exists()


def test_a_failure_leaves_nothing(yolox: Yolox, tmp_path: Path) -> None:
    images = [
        {"id": seed, "file_name": name, "height": 60, "width": 80} for seed, name in enumerate(("a.jpg", "a.png"))
    ]
    for image in images:
        folders.picture(tmp_path / "twins" / image["file_name"], image["id"])
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 7, 8]}
    folders.coco_json(tmp_path / "twins" / "a.json", images, [box], [{"id": 1, "name": "cat"}])
    yolox("convert", tmp_path / "twins", "out", "--to", "yolo").refused("expected images of different names")
    assert not Path("out").exists() and not list(Path().rglob("*.partial"))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_unpacked_and_converted(yolox: Yolox, source: Path, tmp_path: Path, kind: str) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, source)
    ended = yolox("convert", archive, "coco", "--to", "coco")
    assert ended.code == 0 and "3 images, 6 boxes read, written as coco; 0 findings" in ended.out
    assert len(read_dataset(Path("coco"))[0].images) == 3


def test_an_archive_of_nothing_usable_is_called_by_its_name(yolox: Yolox, tmp_path: Path) -> None:
    folders.voc(tmp_path / "source", {"a": []})
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "source")
    ended = yolox("convert", archive, "coco", "--to", "coco")
    assert ended.code != 0 and "packed.zip: " in ended.line and "data/sources" not in ended.line
    assert not Path("coco").exists()


def test_a_format_that_cannot_be_written_is_refused_before_anything_is_unpacked(yolox: Yolox, tmp_path: Path) -> None:
    ended = yolox("convert", tmp_path / "none.zip", "out", "--to", "cocoa")
    assert ended.code != 0 and "--to: expected" in ended.line and not Path("data").exists()
