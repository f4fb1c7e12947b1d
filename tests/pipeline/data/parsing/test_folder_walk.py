"""Walks over folders: nothing is left out in silence, nothing is entered twice, and what is no file is set apart."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.config.source_spec import SourceSettings
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.sources.fetch import digest_of
from pipeline.data.sources.remote import Remote
from pipeline.predict.inputs import find
from tests.another_user import another_user, open_folder
from tests.pipeline.data import folders
from yolox_core.errors import InputError


@pytest.fixture
def halves() -> Iterator[Path]:
    """A YOLO data set of two halves, of which the second may not be listed."""
    with open_folder() as root:
        for number, half in enumerate(("first", "second")):
            folders.picture(root / half / "images" / f"{number}.jpg", number, size=(32, 32))
            (root / half / "labels").mkdir()
            (root / half / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        (root / "data.yaml").write_text("names: [thing]\n")
        yield root


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o444], ids=["nothing", "no list", "names alone"])
def test_a_folder_that_may_not_be_read_is_named(halves: Path, mode: int) -> None:
    walks: dict[str, Callable[[], object]] = {
        "data": lambda: read_dataset(halves),
        "digest": lambda: digest_of(SourceSettings(str(halves))),
        "address": lambda: Remote.of(SourceSettings(f"local://{halves}")).folder(),
        "predict a folder": lambda: find([str(halves)]),
        "predict a pattern": lambda: find([f"{halves}/**/*.jpg"]),
    }
    for look in walks.values():
        look()  # they can, and all modules that they need are there
    (halves / "second").chmod(mode)
    with another_user():
        for name, look in walks.items():
            with pytest.raises(InputError, match=r"/second\b") as refused:
                look()
            assert ("Permission denied" if name == "address" else "this user may read") in str(refused.value), name


def test_a_pattern_names_the_folder_that_it_may_not_list(halves: Path) -> None:
    (halves / "second" / "images").chmod(0)
    with another_user(), pytest.raises(InputError, match=r"second/images: expected a folder that this user may read"):
        find([f"{halves}/*/images/*.jpg"])


def test_a_link_into_a_closed_folder_is_named(halves: Path) -> None:
    (halves / "first" / "more").symlink_to(halves / "second" / "images")
    (halves / "second").chmod(0)
    with another_user(), pytest.raises(InputError, match="first: expected a folder that this user may read"):
        Listing.of(halves / "first")


def test_what_is_no_file_is_set_apart(tmp_path: Path) -> None:
    (tmp_path / "real.jpg").write_bytes(b"")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").mkdir()
    (tmp_path / "full.jpg").mkdir()
    (tmp_path / "full.jpg" / "in.jpg").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.jpg"))
        listing = Listing.of(tmp_path)
    assert listing.files == ("full.jpg/in.jpg", "gone.jpg", "real.jpg")
    assert listing.special == ("empty.jpg", "pipe.jpg", "s.jpg", "self.jpg")


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(b"")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to("a")
    assert Listing.of(tmp_path).files == ("a/x.jpg",)


def test_doctor_has_a_finding_for_each(tmp_path: Path) -> None:
    folders.picture(tmp_path / "images" / "a.jpg", 0, size=(32, 32))
    (tmp_path / "labels").mkdir()
    for name in ("a", "pipe", "self"):
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    os.mkfifo(tmp_path / "images" / "pipe.jpg")
    os.mkfifo(tmp_path / "labels" / "b.txt")
    (tmp_path / "images" / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "data.yaml").write_text("names: [thing]\n")
    records, findings = read_dataset(tmp_path)
    assert [record.file_name for record in records.images] == ["a.jpg"]
    apart = [finding.where for finding in findings if finding.code == "not-a-file"]
    assert apart == ["images/pipe.jpg", "images/self.jpg", "labels/b.txt"]
