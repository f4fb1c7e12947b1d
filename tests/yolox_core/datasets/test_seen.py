"""Images are looked at once; a second look decodes only what has changed, and says the same."""

import os
import sqlite3
from dataclasses import astuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.yolox_core.datasets import folders
from yolox_core.datasets import known as known_module
from yolox_core.datasets import seen as seen_module
from yolox_core.datasets.known import KnownImages
from yolox_core.datasets.records import Category, DatasetRecords, ImageRecord
from yolox_core.datasets.seen import Seen, digests, look


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded."""
    names: list[str] = []
    plain = seen_module.decode_image

    def decode_image(data: bytes, where: str) -> np.ndarray:  # type: ignore[type-arg]  # as the module's own
        names.append(where)
        return plain(data, where)

    monkeypatch.setattr(seen_module, "decode_image", decode_image)
    return names


@pytest.fixture
def images(tmp_path: Path) -> DatasetRecords:
    """Good ones in two folders, one that cannot be decoded, one cut short, one that is not there."""
    root = tmp_path / "images"
    for number, name in enumerate(("a.jpg", "b.png", "deep/c.jpg", "cut.jpg")):
        folders.picture(root / name, number)
    (root / "bad.jpg").write_bytes(b"no image")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:-40])
    cv2.imwrite(str(root / "grey.png"), np.zeros((20, 30), np.uint8))
    names = ("a.jpg", "b.png", "deep/c.jpg", "bad.jpg", "cut.jpg", "grey.png", "none.jpg")
    records = [ImageRecord(number, name, 0, 0) for number, name in enumerate(names)]
    return DatasetRecords(root, (Category(1, "cat"),), records)


def told(seen: list[Seen]) -> list[object]:
    return [(*astuple(view)[:-1], view.thumb.tobytes()) for view in seen]


def test_a_second_look_decodes_nothing_and_says_the_same(
    images: DatasetRecords, tmp_path: Path, opened: list[str]
) -> None:
    plain = look(images)
    opened.clear()
    with KnownImages(tmp_path / "seen.sqlite") as known:
        first = look(images, known)
    assert sorted(opened) == ["a.jpg", "b.png", "bad.jpg", "c.jpg", "cut.jpg", "grey.png"]
    opened.clear()
    with KnownImages(tmp_path / "seen.sqlite") as known:
        second = look(images, known)
    assert opened == []
    assert told(plain) == told(first) == told(second)
    problems = [view.problem[0] for view in second if view.problem]
    assert problems == ["unreadable-image", "truncated-image", "missing-image"]
    assert digests(second, images).keys() == {record.file_name for record in images.images[:-1]}


def test_what_has_changed_is_decoded_again(images: DatasetRecords, tmp_path: Path, opened: list[str]) -> None:
    with KnownImages(tmp_path / "seen.sqlite") as known:
        before = look(images, known)
    opened.clear()
    folders.picture(images.image_root / "a.jpg", 50)
    (images.image_root / "none.jpg").write_bytes((images.image_root / "deep" / "c.jpg").read_bytes())
    (images.image_root / "b.png").unlink()
    os.utime(images.image_root / "grey.png")
    with KnownImages(tmp_path / "seen.sqlite") as known:
        after = look(images, known)
    assert opened == ["a.jpg"], "of a file of known content nothing is decoded, either"
    assert after[0].digest != before[0].digest and not np.array_equal(after[0].thumb, before[0].thumb)
    assert after[1].problem == ("missing-image", "expected an image file, got none")
    assert told(after[6:]) == told(after[2:3]) and told(after[5:6]) == told(before[5:6])


def test_the_same_content_under_another_suffix_is_looked_at(
    images: DatasetRecords, tmp_path: Path, opened: list[str]
) -> None:
    with KnownImages(tmp_path / "seen.sqlite") as known:
        look(images, known)
    opened.clear()
    (images.image_root / "b.png").rename(images.image_root / "b.jpg")
    renamed = DatasetRecords(images.image_root, images.categories, [ImageRecord(1, "b.jpg", 0, 0)])
    with KnownImages(tmp_path / "seen.sqlite") as known:
        (view,) = look(renamed, known)
    assert opened == ["b.jpg"] and view.notes[0][0] == "image-mislabelled"


def test_what_other_code_has_seen_does_not_count(
    images: DatasetRecords, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnownImages(tmp_path / "seen.sqlite") as known:
        look(images, known)
    opened.clear()
    monkeypatch.setattr(known_module, "code_digest", lambda: "newer")
    with KnownImages(tmp_path / "seen.sqlite") as known:
        look(images, known)
    assert len(opened) == 6


def test_lost_folders_are_forgotten(images: DatasetRecords, tmp_path: Path) -> None:
    store = tmp_path / "seen.sqlite"
    with KnownImages(store) as known:
        look(images, known)
    os.rename(images.image_root, tmp_path / "moved")
    moved = DatasetRecords(tmp_path / "moved", images.categories, images.images)
    with KnownImages(store) as known:
        look(moved, known)
    with sqlite3.connect(store) as database:
        kept = {Path(os.fsdecode(folder)) for (folder,) in database.execute("SELECT DISTINCT folder FROM images")}
    assert kept == {tmp_path / "moved", tmp_path / "moved" / "deep"}


def test_a_store_that_fails_is_told_and_does_no_harm(images: DatasetRecords, tmp_path: Path) -> None:
    store = tmp_path / "seen.sqlite"
    store.write_bytes(b"no database, whatever its name says" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        KnownImages(store)
    store.unlink()
    with KnownImages(store) as known:
        first = look(images, known)
    with store.open("r+b") as file:  # after the header
        file.seek(4096)
        file.write(os.urandom(store.stat().st_size - 4096))
    with KnownImages(store) as known:
        assert told(look(images, known)) == told(first)
    assert known.failed is not None
