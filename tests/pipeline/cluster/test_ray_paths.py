"""Where Ray's sockets and programs may lie. With a real Ray in such places: tests/test_environments.py."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.cluster import ray_paths
from pipeline.cluster.ray_paths import BELOW_FOLDER_BYTES, SOCKET_PATH_BYTES, folder_of_sockets, is_harmless, ray_folder
from yolox_core.errors import InputError


@pytest.fixture
def short() -> Path:
    """A folder for TMPDIR that is short enough."""
    with tempfile.TemporaryDirectory(prefix="y", dir="/tmp") as name:
        yield Path(name)


def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_short_tmpdir_is_taken(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary(short, monkeypatch)
    with ray_folder() as folder:
        assert folder.parent.parent == short and folder.parent.stat().st_mode & 0o777 == 0o700
        assert len(str(folder)) + BELOW_FOLDER_BYTES <= SOCKET_PATH_BYTES
        (folder / "session").mkdir()
    assert not folder.parent.exists()


@pytest.mark.parametrize("name", ["x" * 80, "a b", "a'b", 'a"b', "a$b", "grün"])
def test_another_tmpdir_is_not(name: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary(short / name, monkeypatch)
    assert folder_of_sockets() == Path("/tmp")


def test_rays_processes_have_the_same_tmpdir(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiprocessing opens sockets there, of the dashboard and of loaders."""
    temporary(short / ("x" * 80), monkeypatch)
    with ray_paths.harmless_start():
        assert os.environ["TMPDIR"] == "/tmp"
    assert os.environ["TMPDIR"] == str(short / ("x" * 80))


def test_bytes_are_counted_not_letters(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """18 letters would do, 21 bytes do not; 18 bytes do."""
    monkeypatch.setattr(ray_paths, "is_harmless", lambda _: True)
    assert len(str(short)) == 14
    temporary(short / "üüü", monkeypatch)
    assert folder_of_sockets() == Path("/tmp")
    temporary(short / "xxx", monkeypatch)
    assert folder_of_sockets() == short / "xxx"


def test_no_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/proc/" + "x" * 80)
    monkeypatch.setattr(ray_paths.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"/tmp: expected a folder for Ray's sockets .* Set TMPDIR to such a folder"):
        folder_of_sockets()


@pytest.mark.parametrize(
    "path", ["/a b", "/a$b", "/a'b", '/a"b', "/a#b", "/grün", "/a[b]", "/a;b", "/a\\b", "/a`b`", "/a*"]
)
def test_what_a_shell_would_change(path: str) -> None:
    assert not is_harmless(path)
    assert is_harmless("/tmp/ray-a_b1/env/bin/python3.11")


def test_the_executable_is_linked_only_where_it_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = sys.executable
    with ray_paths.harmless_start():
        assert sys.executable == own
    place = tmp_path / "it's $mine" / "bin"
    place.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(place.parent))
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    with ray_paths.harmless_start():
        assert is_harmless(sys.executable) and Path(sys.executable).parent.samefile(place)
    assert sys.executable == str(place / "python")
