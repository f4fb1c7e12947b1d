"""The wheel and the sdist: what they hold, and the package alone in a virtual environment of its own."""

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import packages, wheels
from tests.architecture.imports import PACKAGES
from tests.needs import ROOT
from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.export.onnx import export_onnx
from yolox_core.model.weights import release

LINKS = sorted(path.name for path in (ROOT / "pipeline/project").iterdir() if path.is_symlink())
MOST_BYTES = 500e6


@dataclass(frozen=True)
class Built:
    wheel: Path
    sdist: Path
    again: Path  # the wheel of the sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    source, into, again = (tmp_path_factory.mktemp(name) for name in ("source", "into", "again"))
    wheel, sdist = wheels.build(source, into), wheels.build_sdist(source, into)
    return Built(wheel, sdist, wheels.build_from_sdist(sdist, again))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_of_the_sdist_is_that_of_the_tree(built: Built) -> None:
    assert built.wheel.name == built.again.name
    assert contents(built.wheel) == contents(built.again)


def test_the_wheel_holds_both_packages_whole_and_nothing_else(built: Built) -> None:
    held = {name for name in contents(built.wheel) if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    assert held == {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}


@pytest.mark.parametrize("name", LINKS)
def test_the_wheel_holds_copies_of_what_is_a_link_in_the_tree(name: str, built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        entry = archive.getinfo(f"pipeline/project/{name}")
        assert archive.read(entry) == (ROOT / "pipeline/project" / name).read_bytes()
        assert (entry.external_attr >> 16) & 0o170000 == 0o100000, "a regular file"


@pytest.mark.long
def test_the_package_alone_predicts_and_is_small(built: Built, tmp_path: Path) -> None:
    programs = packages.environment(tmp_path / "environment", built.wheel)
    model = tmp_path / "released"
    release(model, opinionated(), SPEC)
    export_onnx(model, model / "model.onnx")
    (model / "model.safetensors").unlink()  # the graph is all that is read
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))

    words = [str(programs / "yolox"), "predict", "photo.png", "--model", "released"]
    done = subprocess.run(words, cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("photo.png: ") and SPEC.class_names[0] in done.stdout
    assert "model: released, ONNX Runtime" in done.stderr

    files = [path for path in programs.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
