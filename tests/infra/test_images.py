"""The images: what they copy is there, what they install is locked, and those that serve carry no training."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.needs import ROOT

IMAGES = ROOT / "infra" / "images"
DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))
LOCKS = sorted(IMAGES.glob("*-requirements.txt"))
WITHOUT = {  # what a lock must not bring
    "serve-requirements.txt": ("torch", "torchvision", "ray", "mlflow", "pandas", "pyarrow", "scipy"),
    "ray-serve-requirements.txt": ("torch", "torchvision", "mlflow", "pandas", "pyarrow", "scipy"),
    "mlflow-requirements.txt": ("torch", "torchvision", "ray"),
}


def locked(path: Path) -> dict[str, str]:
    """Package -> version."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_copies_and_installs_is_there_and_locked(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head = text.split("FROM", 1)[0]
    assert f"docker build -f infra/images/{path.name} -t " in head and "# Needs:" in head and "# Tried:" in head
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert source.startswith("dist/") or (ROOT / source).is_file(), source
    for install in re.findall(r"^RUN pip install (.*)", text, re.MULTILINE):
        assert "--require-hashes" in install or "--no-deps" in install, install
    assert re.search(r"^USER 1000$", text, re.MULTILINE)


def test_a_builder_is_sent_what_the_images_copy_and_no_more() -> None:
    """`*` keeps out all else: data, runs, and a virtual environment of 7 GB."""
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    sent = {line.removeprefix("!") for line in lines[1:]}
    assert lines[0] == "*" and all(line.startswith("!") for line in lines[1:])
    copied = [source for path in DOCKERFILES for source in re.findall(r"^COPY (\S+)", path.read_text(), re.MULTILINE)]
    for source in copied:
        assert any(fnmatch(source, pattern) for pattern in sent), source
    for pattern in sent:
        assert any(fnmatch(source, pattern) for source in copied), pattern


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_what_was_asked_for_as_the_project_has_it(path: Path) -> None:
    found, project = locked(path), locked(ROOT / "requirements.txt")
    words = path.with_suffix(".in").read_text(encoding="utf-8")
    for name in re.findall(r"^([a-z0-9][a-z0-9-]*)", words, re.MULTILINE):
        assert name in found, f"{name}: run `make lock`"
    differing = {name for name, version in found.items() if project.get(name, version) != version}
    assert not differing
    assert not set(WITHOUT[path.name]) & set(found)


def test_what_serving_needs_has_no_more_than_it_says() -> None:
    """Both ways to serve install the same, but for Ray and what Ray needs."""
    single, on_ray = (locked(IMAGES / f"{name}-requirements.txt") for name in ("serve", "ray-serve"))
    assert single.items() <= on_ray.items() and "ray" in on_ray
