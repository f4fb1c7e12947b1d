"""Images that a node does not have: fetched once, verified, kept in bounds; training as if they were beside it."""

import dataclasses
import hashlib
import os
import re
from pathlib import Path

import pytest

from pipeline.training.node_image_cache import NodeImageCache, check_folder, is_address
from tests.yolox_core.training.small import scenes, small_job
from yolox_core.data.image_io import content_digests
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.training.engine import EpochReport, train


def digests_of(records: DatasetRecords) -> dict[str, str]:
    return dict(zip((image.file_name for image in records.images), content_digests(records), strict=True))


def fetcher(records: DatasetRecords, folder: Path, limit: int = 1 << 30) -> NodeImageCache:
    return NodeImageCache(f"file://{records.image_root}", digests_of(records), folder, limit)


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_an_image_is_fetched_once(tmp_path: Path) -> None:
    records = scenes(tmp_path / "there")
    fetch = fetcher(records, tmp_path / "here")
    name = records.images[0].file_name
    content = (records.image_root / name).read_bytes()
    path = fetch(name)
    assert path.read_bytes() == content and tmp_path / "here" in path.parents
    (records.image_root / name).unlink()
    assert fetch(name) == path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_another_image_than_was_prepared_is_refused_and_not_kept(tmp_path: Path) -> None:
    records = scenes(tmp_path / "there")
    fetch = fetcher(records, tmp_path / "here")
    name = records.images[1].file_name
    (records.image_root / name).write_bytes((records.image_root / records.images[2].file_name).read_bytes())
    with pytest.raises(
        InputError, match=rf"file://.*{re.escape(name)}, read on .*: expected the image that was prepared"
    ):
        fetch(name)
    assert held(tmp_path / "here") == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///nowhere", "expected an image, got none .*Copy data/raw/images there"),
        ("carrier-pigeon://coop", "expected the image, got ValueError .*carrier-pigeon.*Check YOLOX_IMAGES"),
        ("gs://bucket", "expected a package that reads such an address, got none .*gcsfs.*Install it on every node"),
    ],
)
def test_an_address_that_has_nothing_is_named(tmp_path: Path, address: str, words: str) -> None:
    fetch = NodeImageCache(address, {"a.jpg": "0" * 64}, tmp_path, 1 << 30)
    with pytest.raises(InputError, match=rf"{address}/a.jpg, read on .*: {words}"):
        fetch("a.jpg")


def test_the_longest_unused_make_room(tmp_path: Path) -> None:
    records = scenes(tmp_path / "there")
    sizes = [(records.image_root / image.file_name).stat().st_size for image in records.images]
    limit = sum(sizes[:6])
    fetch = fetcher(records, tmp_path / "here", limit)
    first, second = (fetch(image.file_name) for image in records.images[:2])
    os.utime(second, (0, 0))  # long unused
    for image in records.images[2:]:
        assert fetch(image.file_name).is_file()
        fetch(records.images[0].file_name)
        assert held(tmp_path / "here") <= limit
    assert first.is_file() and not second.exists()


@pytest.mark.parametrize("loader_workers", [0, 2])
def test_training_is_the_same_wherever_the_images_lie(tmp_path: Path, loader_workers: int) -> None:
    histories = []
    for away in (False, True):
        job = small_job(tmp_path / "there", loader_workers=loader_workers)
        if away:
            records = scenes(tmp_path / "there")
            fetch = fetcher(records, tmp_path / "here")
            parts = {name: dataclasses.replace(getattr(job, name), fetch=fetch) for name in ("training", "validation")}
            job = dataclasses.replace(
                job, **{name: dataclasses.replace(part, image_root=Path("/away")) for name, part in parts.items()}
            )
        histories.append([report.row for report in train(job) if isinstance(report, EpochReport)])
    assert histories[0] == histories[1]
    assert held(tmp_path / "here") > 0


def test_a_folder_that_a_node_lacks_or_has_otherwise(tmp_path: Path) -> None:
    records = scenes(tmp_path / "there")
    digests = digests_of(records)
    check_folder(records.image_root, digests, "worker 0")
    with pytest.raises(InputError, match=r"worker 1 on node-b: .*not on this node.*YOLOX_IMAGES"):
        check_folder(tmp_path / "elsewhere", digests, "worker 1 on node-b")
    with pytest.raises(InputError, match=r"worker 1: .*expected the image that was prepared"):
        check_folder(records.image_root, digests | {max(digests): "0" * 64}, "worker 1")


def test_addresses_and_folders_are_told_apart() -> None:
    assert is_address("s3://bucket/images") and not is_address("/mnt/images")
