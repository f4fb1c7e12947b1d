"""Stages and the doctor remember what they saw; where that cannot be kept they say so and do their work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.console import progress_bar
from pipeline.console.progress_bar import ImageCount
from pipeline.data.checks import cached_scan
from pipeline.data.checks.cached_scan import scan_with_cache
from pipeline.data.formats.read import read_dataset
from tests.pipeline.data import folders
from tests.pipeline.data.opened import opened_images
from yolox_core.data.records import DatasetRecords


@pytest.fixture
def images(tmp_path: Path) -> DatasetRecords:
    folders.voc(tmp_path / "set", {f"image{number}": [("cat", 10, 10, 30, 40)] for number in range(5)})
    return read_dataset(tmp_path / "set")[0]


def test_images_are_opened_once(images: DatasetRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = opened_images(monkeypatch)
    monkeypatch.setenv(cached_scan.VARIABLE, str(tmp_path / "deep" / "seen.sqlite"))
    first, _ = scan_with_cache(images)
    assert len(opened) == 5
    assert [view.digest for view in scan_with_cache(images)[0]] == [view.digest for view in first]
    assert len(opened) == 5


def no_folder(store: Path) -> None:
    store.parent.parent.mkdir(exist_ok=True)
    store.parent.write_text("a file where a folder should be")


def no_database(store: Path) -> None:
    store.parent.mkdir(parents=True)
    store.write_bytes(b"something else altogether " * 500)


@pytest.mark.parametrize("spoil", [no_folder, no_database])
def test_where_nothing_can_be_kept_that_is_told_and_the_images_are_seen(
    images: DatasetRecords,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "cache" / "seen.sqlite"
    spoil(store)
    monkeypatch.setenv(cached_scan.VARIABLE, str(store))
    assert all(view.problem is None for view in scan_with_cache(images)[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line.startswith(f"note: {store}: expected to keep image scan results here")
        and "Name another file by YOLOX_SEEN" in line
    )


def test_a_line_now_and_then_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    with ImageCount(12_000) as progress:
        now[0] += 60.0  # until it was known which
        progress.skip(6_000)
        for _ in range(25):
            now[0] += 1.0
            progress.step()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "6,010 of 12,000 images, 1.0 images/s, 100 min left",
        "6,020 of 12,000 images, 1.0 images/s, 100 min left",
    ]


def test_on_a_terminal_the_bar_ends_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ImageCount(1_000) as progress:
        progress.skip(400)
        for _ in range(600):
            progress.step()
    drawn = capsys.readouterr().err
    assert "1,000" in drawn and "100%" in drawn.splitlines()[-2]


def test_without_a_known_total_there_is_no_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_bar, "EVERY_S", 0.0)
    with ImageCount(None) as progress:
        progress.step()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("1 images, ") and "left" not in line
