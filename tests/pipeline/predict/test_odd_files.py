"""`yolox predict` and `yolox doctor` with files that are none, odd names, and outputs that are pipes or that fail."""

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.predict.file_names import folder_names, with_ending
from pipeline.predict.inputs import find
from tests.pipeline.cli.commands_project import SPEC, Yolox
from tests.pipeline.data import folders
from yolox_core import atomic_files
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

CONF = ("--conf", 0, "--iou", 0.1)  # the random model is sure of nothing
LONG = "x" * 251 + ".jpg"  # as long as a name can be


@contextmanager
def started_reader(pipe: Path) -> Iterator[list[str]]:
    """Somebody who reads a pipe in the block; afterwards the list holds what came."""
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    yield read
    reader.join()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a.jpg", "b.jpg")):
        folders.picture(tmp_path / "images" / name, seed, size=(48, 64))
    return tmp_path / "images"


@pytest.fixture
def odd(images: Path) -> Iterator[Path]:
    """Two images among what is called like an image and is none."""
    (images / "self.jpg").symlink_to("self.jpg")
    (images / "gone.jpg").symlink_to("nowhere")
    (images / "null.jpg").symlink_to("/dev/null")
    (images / "empty.jpg").mkdir()
    os.mkfifo(images / "pipe.jpg")
    os.mkfifo(images / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(images / "s.jpg"))
        yield images


def test_each_file_that_is_none_has_a_line_and_the_others_go_on(yolox: Yolox, model: Path, odd: Path) -> None:
    for words in ([odd], [odd / "*"], [odd / "**"], sorted(odd.glob("*.*[!t]"))):
        if len(words) > 1:
            words = [word for word in words if word.name != "empty.jpg"]  # by itself it is a folder of images
        ended = yolox("predict", *words, "--model", model, "--json", "found.json", "--verbose", *CONF)
        lines = [line for line in ended.line.splitlines() if line.startswith("error: ")]
        assert ended.code == 2 and len(ended.out.splitlines()) == 2, ended.out
        got = {line.split(": ")[1].rpartition("/")[2]: line for line in lines}
        assert len(got) == len(lines) == (7 if len(words) == 1 else 6), ended.line
        for name, said in {
            "self.jpg": "Too many levels of symbolic links",
            "gone.jpg": "No such file",
            "null.jpg": "a device, not a file",
            "pipe.jpg": "a named pipe, not a file",
            "pipe.mp4": "unreadable video: a named pipe, not a file",
            "s.jpg": "a socket, not a file",
        }.items():
            assert said in got[name]
        assert {entry["file_name"] for entry in json.loads(Path("found.json").read_text())} == {"a.jpg", "b.jpg"}


def test_a_shell_pipes_an_image_in_and_the_answer_out(model: Path, images: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "predict", "/dev/stdin", "--model", model, "--json", "/dev/stdout"],
        input=(images / "a.jpg").read_bytes(),
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == [] and b"stdin: nothing" in done.stderr


@pytest.mark.parametrize("folder", ["shots [2024]", "a*b", "[x]/[y]?", "**"])
def test_what_exists_as_it_is_written_is_taken_so(tmp_path: Path, folder: str) -> None:
    for name in ("one.jpg", "two [1].jpg", "two 1.jpg", "in [1]/three.jpg"):
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"")

    def named(pattern: str) -> list[str]:
        return [source.name for source in find([f"{tmp_path}/{folder}/{pattern}"])]

    assert named("*.jpg") == ["one.jpg", "two 1.jpg", "two [1].jpg"]
    assert named("two [1].jpg") == ["two [1].jpg"]
    assert named("two [12].jpg") == ["two 1.jpg"]
    assert named("in [1]/*.jpg") == ["three.jpg"]
    assert named("**/three.jpg") == ["in [1]/three.jpg"]
    assert named("[i]*/*") == ["in [1]/three.jpg"]
    assert named("*/three.*") == ["in [1]/three.jpg"]


@pytest.mark.parametrize(("option", "place"), [("--json", "/dev/stdout"), ("--csv", "-"), ("--coco", "/dev/fd/1")])
def test_standard_output_takes_one_output_and_nothing_else(
    yolox: Yolox, tmp_path: Path, model: Path, images: Path, option: str, place: str
) -> None:
    (tmp_path / "log").write_text("before\n")
    kept = os.dup(1)
    try:
        with (tmp_path / "log").open("a") as log:
            os.dup2(log.fileno(), 1)
            ended = yolox("predict", images, "--model", model, option, place, *CONF)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert ended.code == 0 and not ended.out and "a.jpg: " in ended.line
    first, _, rest = (tmp_path / "log").read_text().partition("\n")
    assert first == "before" and rest.startswith("file_name,") if option == "--csv" else json.loads(rest)


def test_doctor_writes_into_pipes(yolox: Yolox, images: Path) -> None:
    (images / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (images / "data.yaml").write_text("names: [thing]\n")
    command = [sys.executable, "-m", "pipeline.cli", "doctor", images, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "2 usable images" in done.stderr and json.loads(done.stdout)["images"] == 2
    os.mkfifo("page")
    with started_reader(Path("page")) as read:
        assert yolox("doctor", images, "--html", "page").code == 0
    assert read[0].startswith("<!doctype html>") or read[0].startswith("<!DOCTYPE html>")


def test_each_output_into_a_named_pipe_and_nowhere(yolox: Yolox, model: Path, images: Path) -> None:
    for option in ("--json", "--csv", "--coco"):
        assert yolox("predict", images, "--model", model, option, "/dev/null", *CONF).code == 0
        os.mkfifo("out")
        with started_reader(Path("out")) as read:
            assert yolox("predict", images, "--model", model, option, "out", *CONF).code == 0
        assert "a.jpg" in read[0] and "b.jpg" in read[0]
        os.unlink("out")
    for option in ("--labels", "--crops", "--save-dir"):
        yolox("predict", images, "--model", model, option, "/dev/null").refused(option, "/dev/null", "a folder, got a")


def test_names_of_folders_are_safe_short_and_distinct() -> None:
    names = ["cat", "a/b", "a:b", "Cat", "..", "", "n" * 300, "n" * 299 + "m", "é" * 300, "x\n\x1b[31m", "cat_0"]
    made = folder_names(names)
    assert len({name.casefold() for name in made}) == len(names)
    for name in made:
        assert name.isprintable() and 0 < len(name.encode()) <= 100 and not set(name) & set("/\\:") and name[0] != "."
    assert folder_names(["cat", "hot dog"]) == ["cat", "hot dog"]
    assert str(with_ending(Path("in") / "a", "_1.jpg")) == "in/a_1.jpg"
    assert len(with_ending(Path("é" * 127), "_1.jpg").name.encode()) <= 255


def test_long_names_of_classes_and_images_have_crops(yolox: Yolox, tmp_path: Path) -> None:
    spec = SPEC.__class__.from_dict({**SPEC.to_dict(), "class_names": ["n" * 300, "n" * 299 + "m"]}, "test")
    release(tmp_path / "model", build_model(spec.model, seed=3), spec)
    folders.picture(tmp_path / "images" / LONG, 0, size=(48, 64))
    folders.picture(tmp_path / "images" / ("é" * 120 + ".png"), 1, size=(48, 64))
    out = ("--json", "found.json", "--labels", "labels", "--crops", "crops", "--save-dir", "drawn", *CONF)
    ended = yolox("predict", tmp_path / "images", "--model", tmp_path / "model", *out)
    assert ended.code == 0, ended.line
    found = json.loads(Path("found.json").read_text())
    crops = list(Path("crops").rglob("*.jpg"))
    assert len(found) >= len(crops) > 2 and len({path.parent for path in crops}) == 2
    assert len(list(Path("labels/labels").iterdir())) == len(list(Path("drawn").iterdir())) == 2


def test_an_output_that_fails_takes_no_other_with_it(yolox: Yolox, model: Path, images: Path) -> None:
    """/dev/full is a disk that is full: what is written there fails when a buffer is flushed."""
    out = ("--csv", "/dev/full", "--json", "found.json", "--crops", "crops")
    ended = yolox("predict", images, "--model", model, *out, *CONF)
    assert ended.code == 2
    assert ended.line.splitlines() == [
        f"error: --csv /dev/full: cannot be written: {os.strerror(errno.ENOSPC)}. It is not written; other outputs are "
        "not touched."
    ]
    assert {entry["file_name"] for entry in json.loads(Path("found.json").read_text())} == {"a.jpg", "b.jpg"}
    assert list(Path("crops").rglob("b_*.jpg"))
    yolox("predict", images, "--model", model, "--csv", "/dev/full", *CONF).refused("/dev/full", "No space left")


def test_a_folder_that_fails_keeps_what_it_has(yolox: Yolox, model: Path, images: Path) -> None:
    (images / "b.jpg").rename(images / ("ö" * 125 + ".jpg"))
    Path("drawn").mkdir()
    Path("drawn", "ö" * 125 + ".jpg").mkdir()  # where a file is to go
    ended = yolox("predict", images, "--model", model, "--save-dir", "drawn", "--json", "found.json", *CONF)
    assert ended.code == 2 and "What it holds up to there is kept" in ended.line
    assert Path("drawn", "a.jpg").is_file() and len(json.loads(Path("found.json").read_text())) > 2


@pytest.mark.parametrize("name", ["two\nlines", "red\x1b[31m", "left\u202egpj", "nel\x85", "line\u2028end", "tab\t"])
def test_a_name_never_breaks_or_colors_a_line(yolox: Yolox, model: Path, images: Path, name: str) -> None:
    (images / "a.jpg").rename(images / f"{name}.jpg")
    (images / f"{name}2.jpg").write_bytes(b"no image")
    (images / f"{name}.txt").write_text("0 0.5 0.5 0.5 2\n")
    (images / "data.yaml").write_text("names: [thing]\n")
    escaped = ascii(name)[1:-1] if not name.isprintable() else name
    ended = yolox("predict", images, "--model", model, "--json", "found.json")
    said = ended.out + ended.line
    assert ended.code == 2 and f"{escaped}.jpg: " in ended.out and f"{escaped}2.jpg: " in ended.line
    checked = yolox("doctor", images)
    said += checked.out + checked.line
    many = yolox("predict", *[images / f"{name}2.jpg"], "--model", model)
    said += many.line
    assert len(ended.out.splitlines()) == 2 and many.line.count("\n") == 1
    assert not {sign for sign in said if not sign.isprintable()} - {"\n"}
    assert f"{name}.jpg" in {entry["file_name"] for entry in json.loads(Path("found.json").read_text())} or (
        "[]" in Path("found.json").read_text()
    )


def test_partial_files_of_long_names_fit(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".json")
    atomic_files.write_text(path, "{}")
    assert path.read_text() == "{}" and list(tmp_path.iterdir()) == [path]
