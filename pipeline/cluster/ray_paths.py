"""Paths that Ray can work with: a short folder for its sockets, and programs whose paths a shell reads as they are.

Ray starts processes by command lines that shells split and expand (`bash -c "exec PYTHON ..."`), with nothing quoted,
and opens Unix sockets, whose paths may have 107 bytes, in its own folder. Where the project's path holds a blank, `$`,
a quote or the like, Ray is imported and started through a symbolic link that holds none.
"""

import atexit
import importlib
import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolox_core.errors import InputError

SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
# "/session_2026-11-28_19-07-07_023762_4194304/sockets/dash_MetricsHead" is the longest; a few more for Ray to come
BELOW_FOLDER_BYTES = 74
PREFIX = "ray-"
INNER = "r"  # Ray lets everybody write into its folder, so it gets one within another
NAME_BYTES = len(f"/{PREFIX}12345678/{INNER}")  # of tempfile


def folder_of_sockets() -> Path:
    """The folder for Ray's own: TMPDIR, or /tmp where that path is too long. InputError where neither can be taken."""
    longest = SOCKET_PATH_BYTES - BELOW_FOLDER_BYTES - NAME_BYTES
    candidates = dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp")))
    for folder in candidates:
        if len(os.fsencode(folder)) <= longest and is_harmless(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    tried = ", ".join(map(str, candidates))
    raise InputError(
        f"{tried}: expected a folder for Ray's sockets that this user may write, its path of at most {longest} bytes "
        "without blanks and quotes, got none. Set TMPDIR to such a folder."
    )


@contextmanager
def ray_folder() -> Iterator[Path]:
    """A new folder, this user's alone, for Ray's sockets and logs; removed after the block."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder_of_sockets()))
    try:
        (folder / INNER).mkdir()
        yield folder / INNER
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a process that has yet to end may write its last line


def is_harmless(path: Path | str) -> bool:
    """Whether a shell takes the path as it is, quoted or not."""
    return shlex.quote(str(path)) == str(path)


def import_ray() -> None:
    """Import Ray so that the paths of its programs are harmless. InputError where they cannot be."""
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'ray'", name="ray")
    packages = Path(spec.origin).parents[1]
    if not is_harmless(packages) and "ray" not in sys.modules:
        packages = _harmless(packages)
        sys.path.insert(0, str(packages))
        try:
            importlib.import_module("ray")
        finally:
            sys.path.remove(str(packages))
    if not is_harmless(packages) or not is_harmless(_harmless(Path(sys.executable))):
        raise InputError(
            f"{packages}: expected a path that a shell takes as it is, for Ray, got one with a blank, a quote or the "
            "like. Install the project in another folder."
        )


@contextmanager
def harmless_start() -> Iterator[None]:
    """For the time of the block, paths that Ray's processes can work with: `sys.executable`, which starts them, and
    TMPDIR, below which those of several processes open sockets, too (multiprocessing's).
    """
    own, temporary = sys.executable, os.environ.get("TMPDIR")
    sys.executable = str(_harmless(Path(own)))
    if temporary is not None:
        os.environ["TMPDIR"] = str(folder_of_sockets())
    try:
        yield
    finally:
        sys.executable = own
        if temporary is not None:
            os.environ["TMPDIR"] = temporary


def _harmless(path: Path) -> Path:
    """The path itself, or through the link to the environment that it lies in."""
    prefix = Path(sys.prefix)
    if is_harmless(path) or not path.is_relative_to(prefix):
        return path
    return _link(prefix) / path.relative_to(prefix)


_links: dict[Path, Path] = {}


def _link(place: Path) -> Path:
    """A harmless path to `place` until this process ends: what Ray imports late is still found there."""
    if place not in _links:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=folder_of_sockets())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _links[place] = Path(folder) / "env"
        _links[place].symlink_to(place)
    return _links[place]
