"""The project as a wheel, built from a copy, so that nothing is left in the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.needs import ROOT

BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
FILES = ("pyproject.toml", "README.md", "LICENSE", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".rayignore")


def build(source: Path, into: Path) -> Path:
    """Copy what a wheel is made of to `source`, an empty folder, and build one into `into`; the wheel's path."""
    for name in FILES:
        shutil.copyfile(ROOT / name, source / name)
    for room in ("pipeline", "yolox_core", ".dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp")
        shutil.copytree(ROOT / room, source / room, symlinks=True, ignore=ignored)
    words = [sys.executable, "-c", BUILD, str(into)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return into / done.stdout.splitlines()[-1]
