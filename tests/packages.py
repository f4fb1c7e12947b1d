"""What the package and its extras bring, by pyproject.toml and what is installed, for environments of only that."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import needs
from tests.needs import ROOT

UNCACHED = "the network was disabled"
LOCK = ROOT / "requirements-dev.txt"


@cache
def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def asked_for(extra: str | None) -> list[Requirement]:
    """What an extra (None: the package alone) names itself, for this machine."""
    lines = project()["dependencies"] if extra is None else project()["optional-dependencies"][extra]
    return [each for each in map(Requirement, lines) if _applies(each, "")]


@cache
def required(*extras: str) -> frozenset[str]:
    """The distributions that the package with these extras brings, those that they need included."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [each for extra in (None, *extras) for each in asked_for(extra)]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name == project()["name"]:
                waiting += asked_for(extra) if extra else []
                continue
            found.add(name)
            needs = importlib.metadata.requires(name) or ()
            waiting += [each for each in map(Requirement, needs) if _applies(each, extra)]
    return frozenset(found)


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def locked(names: Iterable[str]) -> str:
    """The lock's lines of these distributions, with their hashes."""
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))
    kept = [block for block in blocks if block.partition("==")[0] in set(names)]
    return "\n".join(kept) + "\n"


def install(names: Iterable[str], folder: Path) -> Path:
    """A folder for PYTHONPATH that has these distributions and no others, as they are installed here, by hard links."""
    for name in names:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            source, target = Path(str(distribution.locate_file(file))), folder / file
            if ".." not in file.parts and source.suffix != ".pyc" and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
    return folder


def environment(folder: Path, wheel: Path, *extras: str) -> Path:
    """A virtual environment with the wheel and these extras in the lock's versions; its folder of programs.

    uv's cache is the only source: where it lacks one of the packages, the test skips.
    """
    uv, python = str(needs.uv()), str(folder / "bin" / "python")
    lock = folder.with_suffix(".txt")
    lock.write_text(locked(required(*extras)), encoding="utf-8")
    offline = ["--offline", "--quiet", "--python", python]
    subprocess.run([uv, "venv", "--quiet", "--offline", "--python", sys.executable, str(folder)], check=True)
    synced = [uv, "pip", "sync", *offline, "--require-hashes", str(lock)]
    done = subprocess.run(synced, capture_output=True, text=True, check=False)
    if done.returncode and UNCACHED in done.stderr:
        needs.cached_packages()
    assert done.returncode == 0, done.stderr
    # a copy, since what a test changes of a link it would change in the cache
    subprocess.run([uv, "pip", "install", *offline, "--no-deps", "--link-mode", "copy", str(wheel)], check=True)
    return folder / "bin"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        pass  # namespace packages share some
    except OSError:  # another file system
        shutil.copyfile(source, target)
