"""A project outside this repository, on the package as a wheel brings it: `yolox init`, `dvc repro`, an upgrade."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config import paths
from tests import packages, wheels
from tests.integration.project import PARAMS, Project
from tests.integration.test_repro import ran
from tests.pipeline.data import folders

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]


class Own(Project):
    """A project whose code lies elsewhere."""

    site: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {**super().environment(**more), "PYTHONPATH": str(self.site)}


class Installed(Project):
    """A project of an environment that has the package, and nothing of the one that the tests run in."""

    programs: Path

    def environment(self, **more: str) -> dict[str, str]:
        around = super().environment(**more)
        del around["PYTHONPATH"]
        ours = str(Path(sys.executable).parent)
        others = [folder for folder in around["PATH"].split(os.pathsep) if folder != ours]
        return {**around, "PATH": os.pathsep.join([str(self.programs), *others])}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of a virtual environment that has a wheel of this repository with its extra `all`, and nothing else."""
    source, into = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("into")
    return packages.environment(into / "environment", wheels.build(source, into), "all")


def test_from_images_to_a_registered_model(programs: Path, tmp_path: Path) -> None:
    (site,) = programs.parent.glob("lib/python*/site-packages")
    boxes = [("cat", 8, 8, 40, 40), ("dog", 44, 10, 76, 50)]
    images = folders.voc(tmp_path / "images", {f"image{number}": boxes for number in range(12)})
    project = Installed(tmp_path / "mine")
    project.programs = programs
    made = subprocess.run(
        [str(programs / "yolox"), "init", str(project.root), "--data", str(images)],
        cwd=tmp_path,
        env=project.environment(),
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    train = {**PARAMS["train"], "epochs": 3, "warmup_epochs": 0, "input_size": 64}
    smaller = {"data": {**PARAMS["data"], "source": str(images)}, "augment": {}, "train": train, "sweep": {}}
    project.set_params({**params, **PARAMS, **smaller})

    for name in ("pipeline", "yolox_core"):
        folders.write(project.root / name / "__init__.py", "raise ImportError('a package of the user')\n")
    printed = project.repro(YOLOX_LOADER_WORKERS="1")
    assert ran(printed) and "Running stage 'package'" in printed
    registration = json.loads((project.root / paths.REGISTRATION).read_text())
    assert (registration["name"], registration["alias"]) == ("yolox-images", "champion")
    assert (project.root / paths.REPORT).is_file()
    assert json.loads((project.root / "data/package.json").read_text())["version"]

    assert ran(project.repro()) == ["fingerprint"]
    (metadata,) = site.glob("yolox_pipeline-*.dist-info/METADATA")
    released = metadata.read_text()
    try:
        metadata.write_text(released.replace("\nVersion: ", "\nVersion: 9.", 1))
        assert ran(project.repro("ingest")) == ["fingerprint", "ingest"]
    finally:
        metadata.write_text(released)
