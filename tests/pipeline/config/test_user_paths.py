"""What users name is theirs: nothing of it is emptied, replaced or read as the pipeline's own work."""

import os
import stat
from pathlib import Path

import pytest

from pipeline.config import paths
from pipeline.config.settings import settings_from
from pipeline.config.user_paths import source_folder, user_path
from pipeline.console.exit_codes import refusals
from pipeline.stages import fingerprint, ingest
from tests.pipeline.data import folders
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError

BOXES = [("cat", 10, 10, 30, 40)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["data/raw", "data/raw/mine", "data", ".", "runs", "models/released", "data/valid"])
def test_a_source_among_what_dvc_deletes_is_refused(place: str) -> None:
    folders.voc(Path(place), {"image": BOXES})
    settings = settings_from({"data": {"source": place}})
    for stage in (fingerprint, ingest):
        with pytest.raises(InputError, match=r"apart from what the pipeline writes|not\s+written"):
            stage.run(settings)
    assert list(Path(place).rglob("image.jpg"))


def test_the_same_where_data_is_a_link(tmp_path: Path) -> None:
    disk = tmp_path.parent / f"{tmp_path.name}-disk"
    folders.voc(disk / "raw", {"image": BOXES})
    Path("data").symlink_to(disk)
    with pytest.raises(InputError, match="apart from what the pipeline writes"):
        source_folder(str(disk / "raw"))


def test_files_of_others_in_data_raw_are_never_emptied() -> None:
    write_text(paths.RAW / "mine.txt", "keep me")
    settings = settings_from({"data": {"source": "synthetic", "synthetic": {"images": 10}}})
    for stage in (fingerprint, ingest):
        with pytest.raises(InputError, match="Move them elsewhere"):
            stage.run(settings)
    assert (paths.RAW / "mine.txt").read_text() == "keep me"
    (paths.RAW / "mine.txt").unlink()
    ingest.run(settings)
    ingest.run(settings)  # what it wrote itself may go


def test_a_source_elsewhere_is_taken(tmp_path: Path) -> None:
    assert source_folder(str(tmp_path.parent / "elsewhere")) == tmp_path.parent / "elsewhere"
    with pytest.raises(InputError, match="unknown user"):
        user_path("~nobody-of-this-name/images")


def test_a_link_to_nowhere_is_left_to_validate(tmp_path: Path) -> None:
    source = folders.voc(tmp_path / "source", {f"image{number}": BOXES for number in range(3)})
    (lost,) = source.rglob("image1.jpg")
    lost.unlink()
    lost.symlink_to("nowhere.jpg")
    ingest.run(settings_from({"data": {"source": str(source)}}))
    assert sorted(path.stem for path in paths.RAW_IMAGES.rglob("*.jpg")) == ["image0", "image2"]


def test_links_and_pipes_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to("target.json")
    write_text(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "target.json").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_name_as_long_as_allowed_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "here")
    assert (tmp_path / ("n" * 255)).read_text() == "here"


@pytest.mark.parametrize("place", ["folder", "file/below", "n" * 300])
def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended, refusals():
        write_text(tmp_path / place, "text")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "Check the path" in line


def test_other_failures_of_the_system_keep_their_traceback() -> None:
    with pytest.raises(BrokenPipeError), refusals():
        raise BrokenPipeError
