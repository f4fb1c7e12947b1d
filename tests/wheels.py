"""The project as a wheel and as an sdist, built from a copy, so that nothing is left in the tree."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.needs import ROOT

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
FILES = (
    *("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"),
    *("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".rayignore"),
)


def build(source: Path, into: Path) -> Path:
    """Copy what a wheel is made of to `source`, an empty folder, and build one into `into`; the wheel's path."""
    for name in FILES:
        shutil.copyfile(ROOT / name, source / name)
    for room in ("pipeline", "yolox_core", ".dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp")
        shutil.copytree(ROOT / room, source / room, symlinks=True, ignore=ignored)
    return _built("wheel", source, into)


def build_sdist(source: Path, into: Path) -> Path:
    """The sdist of a tree, built into `into`; its path."""
    return _built("sdist", source, into)


def build_from_sdist(sdist: Path, into: Path) -> Path:
    """The wheel of an sdist, which is unpacked into `into`; its path."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    return _built("wheel", into / sdist.name.removesuffix(".tar.gz"), into)


def _built(what: str, source: Path, into: Path) -> Path:
    words = [sys.executable, "-c", BUILD, f"build_{what}", str(into)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return into / done.stdout.splitlines()[-1]
