"""Pictures that are no data: those of kinds that no decoder here opens are counted by kind, in one finding."""

from pathlib import Path

import pytest

from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders


def test_pictures_of_unread_kinds_are_one_finding(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg", 0)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [thing]\n")
    for name in ("b.heic", "c.HEIC", "d.cr2"):
        (tmp_path / "images" / name).write_bytes(b"raw")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.jpg"]
    (one,) = [finding for finding in findings if finding.code == "image-of-unread-kind"]
    assert one.where == "images" and one.what.endswith("got 1 .cr2, 2 .heic, b.heic is one")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".jfi", ".jif"])
def test_a_jpeg_by_another_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    folders.picture(tmp_path / "images" / "a.jpg", 0)
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / f"a{suffix}")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [thing]\n")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == [f"a{suffix}"] and not findings
