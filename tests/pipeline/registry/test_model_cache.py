"""Fetched models are kept whole, once, within a limit, and never trusted unseen."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.registry import model_cache
from pipeline.registry.model_cache import VARIABLE, kept
from tests.needs import ROOT

FILES = {"model.json": b"{}", "model.onnx": b"a graph", "model.safetensors": b"weights"}


class Source:
    """What is fetched, and how often it was."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        for name, content in FILES.items():
            (folder / name).write_bytes(content)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where models are kept; not there yet."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept" / "models"))
    return tmp_path / "kept" / "models"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_fetched_is_not_fetched_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Source()
    first, second = kept("a", source), kept("a", source)
    assert first == second and contents(first) == FILES and source.times == 1
    assert first.is_relative_to(root) and capsys.readouterr().err == ""


def changed(folder: Path) -> None:
    (folder / "released/model.onnx").write_bytes(b"a grapH")


def removed(folder: Path) -> None:
    (folder / "released/model.onnx").unlink()


def added(folder: Path) -> None:
    (folder / "released/model.xml").touch()


def forgotten(folder: Path) -> None:
    (folder / "files.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [(changed, "model.onnx"), (removed, "model.onnx"), (added, "model.xml"), (forgotten, "Expecting property name")],
)
def test_what_was_damaged_is_fetched_again_and_that_is_said(
    root: Path, damage: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Source()
    damage(kept("a", source).parent)
    folder = kept("a", source)
    (line,) = capsys.readouterr().err.splitlines()
    assert contents(folder) == FILES and source.times == 2
    assert line.startswith(f"note: {root / 'a'}: expected a model as it was fetched") and words in line
    assert kept("a", source) == folder and source.times == 2 and capsys.readouterr().err == ""


def test_where_nothing_can_be_kept_a_temporary_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file/models"))
    source = Source()
    folder = kept("of no cache", source)
    (line,) = capsys.readouterr().err.splitlines()
    assert contents(folder) == FILES and str(tmp_path / "file/models") in line and VARIABLE in line
    kept("of no cache", source)
    assert source.times == 1


def test_a_fetch_that_fails_leaves_nothing(root: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"half")
        raise ValueError("away")

    with pytest.raises(ValueError, match="away"):
        kept("a", fails)
    assert [path.name for path in root.iterdir()] == ["lock"]


def test_the_longest_unused_make_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "LIMIT_BYTES", 2 * sum(map(len, FILES.values())))
    for used, name in enumerate(("a", "b")):
        kept(name, Source())
        os.utime(root / name, (used, used))
    kept("a", Source())  # used again
    (root / ".d.999999999.partial").mkdir()  # a process was killed
    kept("c", Source())
    assert sorted(path.name for path in root.iterdir()) == ["a", "c", "lock"]
    monkeypatch.setattr(model_cache, "LIMIT_BYTES", 1)
    assert contents(kept("d", Source())) == FILES  # the newest stays, however large it is


FETCHING = """
import sys, time
from pathlib import Path
from pipeline.registry.model_cache import kept

def fetch(folder):
    with open(sys.argv[1], "a") as log:
        log.write("fetched\\n")
    for name in ("model.json", "model.onnx"):
        time.sleep(0.2)
        (folder / name).write_bytes(b"1")

print(sorted(path.name for path in kept("a", fetch).iterdir()))
"""


def test_processes_that_start_at_once_fetch_once(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [sys.executable, "-c", FETCHING, str(log)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    answers = {process.communicate()[0] for process in processes}
    assert answers == {"['model.json', 'model.onnx']\n"} and log.read_text() == "fetched\n"


def test_a_foreign_folder_in_the_cache_is_no_reason_to_fetch_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLOX_MODELS", str(tmp_path))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "files.json").write_text("{}")

    def fetch(folder: Path) -> None:
        (folder / "model.json").write_text("{}")

    assert kept("a" * 64, fetch) == tmp_path / ("a" * 64) / "released"


@pytest.mark.parametrize("digests", ["[]", "5", "null", '"x"', "[" * 100_000])
def test_digests_that_are_none_are_fetched_again(
    digests: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLOX_MODELS", str(tmp_path))
    fetched: list[Path] = []

    def fetch(folder: Path) -> None:
        fetched.append(folder)
        (folder / "model.json").write_text("{}")

    place = kept("a" * 64, fetch)
    (place.parent / "files.json").write_text(digests)
    assert kept("a" * 64, fetch) == kept("a" * 64, fetch) == place and len(fetched) == 2
    assert "It is fetched again." in capsys.readouterr().err
