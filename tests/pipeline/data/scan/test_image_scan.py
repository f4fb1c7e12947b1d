"""Images are looked at once; a second look decodes only what has changed, and says the same."""

import os
import sqlite3
import time
from dataclasses import astuple, replace
from pathlib import Path
from threading import get_ident

import cv2
import numpy as np
import pytest

from pipeline.data.checks.duplicate_findings import alike
from pipeline.data.scan import image_scan as seen_module
from pipeline.data.scan import scan_cache as known_module
from pipeline.data.scan.duplicate_cache import Pair
from pipeline.data.scan.image_scan import ImageScan, digests, scan_images
from pipeline.data.scan.near_duplicates import Rows, Search
from pipeline.data.scan.scan_cache import ScanCache
from tests.pipeline.data import folders
from tests.pipeline.data.opened import opened_images
from yolox_core.data import image_io as images_module
from yolox_core.data.records import Category, DatasetRecords, ImageRecord

BROKEN = ["bad.jpg", "cut.jpg"]  # tried again each time: with more memory they may open


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded."""
    return opened_images(monkeypatch)


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


def told(seen: list[ImageScan]) -> list[object]:
    return [(*astuple(view)[:-1], view.thumb.tobytes()) for view in seen]


def test_a_second_look_decodes_nothing_and_says_the_same(
    images: DatasetRecords, tmp_path: Path, opened: list[str]
) -> None:
    plain = scan_images(images)
    opened.clear()
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        first = scan_images(images, cache)
    assert sorted(opened) == ["a.jpg", "b.png", "bad.jpg", "c.jpg", "cut.jpg", "grey.png"]
    opened.clear()
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        second = scan_images(images, cache)
    assert sorted(opened) == BROKEN
    assert told(plain) == told(first) == told(second)
    problems = [view.problem[0] for view in second if view.problem]
    assert problems == ["unreadable-image", "truncated-image", "missing-image"]
    assert digests(second, images).keys() == {record.file_name for record in images.images[:-1]}


def test_what_has_changed_is_decoded_again(images: DatasetRecords, tmp_path: Path, opened: list[str]) -> None:
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        before = scan_images(images, cache)
    opened.clear()
    folders.picture(images.image_root / "a.jpg", 50)
    (images.image_root / "none.jpg").write_bytes((images.image_root / "deep" / "c.jpg").read_bytes())
    (images.image_root / "b.png").unlink()
    os.utime(images.image_root / "grey.png")
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        after = scan_images(images, cache)
    assert sorted(opened) == ["a.jpg", *BROKEN], "of a file of known content nothing is decoded, either"
    assert after[0].digest != before[0].digest and not np.array_equal(after[0].thumb, before[0].thumb)
    assert after[1].problem == ("missing-image", "expected an image file, got none")
    assert told(after[6:]) == told(after[2:3]) and told(after[5:6]) == told(before[5:6])


def test_the_same_content_under_another_suffix_is_looked_at(
    images: DatasetRecords, tmp_path: Path, opened: list[str]
) -> None:
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        scan_images(images, cache)
    opened.clear()
    (images.image_root / "b.png").rename(images.image_root / "b.jpg")
    renamed = DatasetRecords(images.image_root, images.categories, [ImageRecord(1, "b.jpg", 0, 0)])
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        (view,) = scan_images(renamed, cache)
    assert opened == ["b.jpg"] and view.notes[0][0] == "image-mislabelled"


def test_what_other_code_has_seen_does_not_count_and_goes(
    images: DatasetRecords, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "seen.sqlite"
    with ScanCache(store) as cache:
        scan_images(images, cache)
    opened.clear()
    monkeypatch.setattr(known_module, "scan_digest", lambda: "newer")
    with ScanCache(store) as cache:
        scan_images(images, cache)
    assert len(opened) == 6 and cache.failed is None
    with sqlite3.connect(store) as database:
        assert list(database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) == [
            ("images_newer",),
            ("compared_newer",),
        ]


def kept(store: Path) -> set[Path]:
    with sqlite3.connect(store) as database:
        table = f"images_{known_module.scan_digest()[:16]}"
        rows = database.execute(f"SELECT folder, name FROM {table}")
        return {Path(os.fsdecode(folder)) / os.fsdecode(name) for folder, name in rows}


def test_what_is_not_ours_in_the_file_stays(images: DatasetRecords, tmp_path: Path) -> None:
    """Whoever names a file of another program's loses nothing."""
    store = tmp_path / "mlflow.db"
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE experiments (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)")
        database.execute("CREATE TABLE images_of_ours (name TEXT)")
        database.execute("INSERT INTO experiments (name) VALUES ('one')")
    with ScanCache(store) as cache:
        scan_images(images, cache)
    assert cache.failed is None and len(kept(store)) == 4
    with sqlite3.connect(store) as database:
        assert list(database.execute("SELECT name FROM experiments")) == [("one",)]
        assert list(database.execute("SELECT name FROM images_of_ours")) == []


def test_a_folder_that_cannot_be_listed_does_no_harm(
    images: DatasetRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "seen.sqlite"
    with ScanCache(store) as cache:
        scan_images(images, cache)
    folders.picture(images.image_root / "a.jpg", 9)

    def refuse(folder: bytes) -> list[bytes]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "listdir", refuse)
    with ScanCache(store) as cache:
        scan_images(images, cache)
    assert cache.failed is None and len(kept(store)) == 4


def test_lost_folders_and_files_are_forgotten(images: DatasetRecords, tmp_path: Path) -> None:
    store, root = tmp_path / "seen.sqlite", tmp_path / "moved"
    with ScanCache(store) as cache:
        scan_images(images, cache)
    assert len(kept(store)) == 4
    os.rename(images.image_root, root)
    moved = DatasetRecords(root, images.categories, images.images)
    with ScanCache(store) as cache:
        scan_images(moved, cache)
    here = {root / name for name in ("a.jpg", "b.png", "deep/c.jpg", "grey.png")}
    deep = images.image_root / "deep" / "c.jpg"  # its folder's parent is gone, too, as if it were not mounted
    assert kept(store) == here | {deep}
    (root / "a.jpg").unlink()
    folders.picture(root / "new.jpg", 70)
    fewer = DatasetRecords(root, images.categories, [images.images[1], ImageRecord(9, "new.jpg", 0, 0)])
    with ScanCache(store) as cache:
        scan_images(fewer, cache)
    assert kept(store) == here - {root / "a.jpg"} | {root / "new.jpg", deep}, "what was not asked for stays where it is"


def test_where_a_file_system_is_slow_many_are_asked_at_once(
    images: DatasetRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, asked = seen_module.stamp, []
    expected = told(scan_images(images))

    def stamp(path: str) -> str | None:
        asked.append(get_ident())
        time.sleep(0.01)
        return plain(path)

    monkeypatch.setattr(seen_module, "AT_ONCE", 1)
    monkeypatch.setattr(seen_module, "stamp", stamp)
    assert told(scan_images(images)) == expected
    assert len(asked) == 7 and len(set(asked)) > 2


def test_what_may_only_not_be_mounted_stays(images: DatasetRecords, tmp_path: Path) -> None:
    store, drive = tmp_path / "seen.sqlite", tmp_path / "drive" / "data"
    drive.mkdir(parents=True)
    os.rename(images.image_root, drive / "images")
    mounted = DatasetRecords(drive / "images", images.categories, images.images)
    with ScanCache(store) as cache:
        scan_images(mounted, cache)
    os.rename(drive, tmp_path / "elsewhere")
    folders.picture(tmp_path / "other.jpg", 3)
    with ScanCache(store) as cache:
        scan_images(DatasetRecords(tmp_path, images.categories, [ImageRecord(1, "other.jpg", 0, 0)]), cache)
    assert len(kept(store)) == 5


def compared_rows(images: DatasetRecords, store: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Pair], int]:
    """The pairs among the images, and how many pictures were compared with all before them to find these."""
    counts: list[int] = []
    plain = Search.alike

    def counted(search: Search, rows: Rows) -> object:
        counts.append(len(rows))
        return plain(search, rows)

    with monkeypatch.context() as patched, ScanCache(store) as cache:
        patched.setattr(Search, "alike", counted)
        found = alike(images.images, scan_images(images, cache), cache)
    return found, sum(counts)


def many(root: Path) -> DatasetRecords:
    """Twenty pictures, the last a copy of the first."""
    for number in range(20):
        folders.picture(root / f"{number:02}.png", number % 19)
    return DatasetRecords(root, (Category(1, "cat"),), [ImageRecord(n, f"{n:02}.png", 0, 0) for n in range(20)])


def test_only_a_changed_picture_is_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, images = tmp_path / "seen.sqlite", many(tmp_path / "set")
    (pair,), rows = compared_rows(images, store, monkeypatch)
    assert (pair.first, pair.second, rows) == (0, 19, 20)
    assert compared_rows(images, store, monkeypatch) == ([pair], 0)
    folders.picture(tmp_path / "set" / "07.png", 3)
    found, rows = compared_rows(images, store, monkeypatch)
    assert [(one.first, one.second) for one in found] == [(3, 7), (0, 19)] and rows <= 2
    with sqlite3.connect(store) as database:
        database.execute(f"UPDATE compared_{known_module.scan_digest()[:16]} SET state = x'00'")
    assert compared_rows(images, store, monkeypatch) == (found, 20)
    assert compared_rows(images, store, monkeypatch) == (found, 0), "the next one took the damaged one's place"


def test_comparisons_of_the_last_few_data_sets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_module, "COMPARISONS", 2)
    store = tmp_path / "seen.sqlite"
    sets = [many(tmp_path / name) for name in "abc"]
    for images in sets:
        compared_rows(images, store, monkeypatch)
    again = [compared_rows(images, store, monkeypatch)[1] for images in (sets[1], sets[2], sets[0])]
    assert again == [0, 0, 20]


def test_an_interrupted_look_keeps_what_it_saw(images: DatasetRecords, tmp_path: Path, opened: list[str]) -> None:
    class Interrupted:
        left = 3

        def skip(self, images: int) -> None:
            assert images == 0

        def step(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ScanCache(tmp_path / "seen.sqlite") as cache:
        scan_images(images, cache, Interrupted())
    opened.clear()
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        scan_images(images, cache)
    assert sorted(opened) == ["bad.jpg", "cut.jpg", "grey.png"]


def test_two_at_once_lose_nothing(images: DatasetRecords, tmp_path: Path, opened: list[str]) -> None:
    store = tmp_path / "seen.sqlite"
    with ScanCache(store) as one, ScanCache(store) as other:
        scan_images(images, one)
        scan_images(images, other)
    assert (one.failed, other.failed) == (None, None)
    opened.clear()
    with ScanCache(store) as cache:
        scan_images(images, cache)
    assert sorted(opened) == BROKEN


def test_numbers_of_any_size_tell_files_apart(
    images: DatasetRecords, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems number their files up to 2**64, which SQLite cannot hold."""
    plain = os.stat

    def stat(path: str, **options: bool) -> os.stat_result:
        found = list(plain(path, **options))
        found[1] = 2**64 - 1
        return os.stat_result(found)

    monkeypatch.setattr(os, "stat", stat)
    for _ in range(2):
        with ScanCache(tmp_path / "seen.sqlite") as cache:
            scan_images(images, cache)
        assert cache.failed is None
    assert len(opened) == 6 + len(BROKEN)


def test_a_change_that_keeps_size_and_time_is_seen(images: DatasetRecords, tmp_path: Path) -> None:
    path = images.image_root / "a.jpg"
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        before = scan_images(images, cache)
    times, data = path.stat(), bytearray(path.read_bytes())
    data[-10] ^= 255
    with path.open("r+b") as file:  # in place: the inode stays
        file.write(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        after = scan_images(images, cache)
    assert path.stat().st_mtime_ns == times.st_mtime_ns and after[0].digest != before[0].digest


DAMAGE = ["notes = '[1, '", "height = height + 1", "height = 'x'", "digest = NULL", "digest = x'00'", "checksum = NULL"]


@pytest.mark.parametrize(
    "damage", [*DAMAGE, "thumb = x'01'", "thumb = randomblob(1024)", "thumb = 'text'", "thumb = NULL"]
)
def test_a_damaged_row_is_looked_at_anew(
    images: DatasetRecords, tmp_path: Path, opened: list[str], damage: str
) -> None:
    store = tmp_path / "seen.sqlite"
    with ScanCache(store) as cache:
        first = scan_images(images, cache)
    with sqlite3.connect(store) as database:
        database.execute(f"UPDATE images_{known_module.scan_digest()[:16]} SET {damage}")
    for decoded in (6, len(BROKEN)):
        opened.clear()
        with ScanCache(store) as cache:
            assert told(scan_images(images, cache)) == told(first)
        assert cache.failed is None and len(opened) == decoded


def test_an_image_that_memory_was_too_little_for_is_tried_again(
    images: DatasetRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: object, flags: int) -> None:
        failed = cv2.error("Insufficient memory")
        failed.code = cv2.Error.StsNoMem
        raise failed

    plain = told(scan_images(images))
    with monkeypatch.context() as patched, ScanCache(tmp_path / "seen.sqlite") as cache:
        patched.setattr(images_module.cv2, "imdecode", refuse)
        view = scan_images(images, cache)[0]
    assert view.problem is not None and "too little memory" in view.problem[1]
    with ScanCache(tmp_path / "seen.sqlite") as cache:
        assert told(scan_images(images, cache)) == plain


def test_a_store_that_fails_is_told_and_does_no_harm(images: DatasetRecords, tmp_path: Path) -> None:
    store = tmp_path / "seen.sqlite"
    store.write_bytes(b"no database, whatever its name says" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        ScanCache(store)
    store.unlink()
    with ScanCache(store) as cache:
        first = scan_images(images, cache)
    with store.open("r+b") as file:  # after the schema
        file.seek(4096)
        file.write(os.urandom(store.stat().st_size - 4096))
    with ScanCache(store) as cache:
        assert told(scan_images(images, cache)) == told(first)
    assert cache.failed is not None


def test_deep_images_are_looked_at_by_the_range_of_their_set(tmp_path: Path) -> None:
    """What was seen by another range does not count; few levels are a finding, unless the range is theirs."""
    ramp = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (8, 1))
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    plain = DatasetRecords(tmp_path, (), [ImageRecord(1, "a.png", 0, 0)])
    ranged = replace(plain, value_range=(0, 4095))
    for _ in range(2):  # decoded, then known
        with ScanCache(tmp_path / "seen.sqlite", plain.value_range) as cache:
            (few,) = scan_images(plain, cache)
        with ScanCache(tmp_path / "seen.sqlite", ranged.value_range) as cache:
            (whole,) = scan_images(ranged, cache)
        assert dict(few.notes)["image-few-levels"].startswith("16 of 256 levels are left: its values are 0 to 4080")
        assert "image-few-levels" not in dict(whole.notes) and few.thumb.max() < 16 < 240 < whole.thumb.max()
