"""A project outside this repository, on the package as a wheel brings it: `yolox init`, `dvc repro`, an upgrade."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from pipeline.config import paths
from tests import wheels
from tests.integration.project import PARAMS, YOLOX, Project
from tests.integration.test_repro import ran
from tests.pipeline.data import folders

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

SHIPPED = ("pipeline/project/dvc.yaml.j2", "pipeline/presets/few-images.yaml", "pipeline/reports/style.css")


class Own(Project):
    """A project whose code lies elsewhere."""

    site: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {**super().environment(**more), "PYTHONPATH": str(self.site)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel of this repository installs."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheels.build(source, site)) as wheel:
        wheel.extractall(site)
    return site


def test_the_wheel_has_what_a_project_needs(site: Path) -> None:
    assert not [name for name in SHIPPED if not (site / name).is_file()]


def test_from_images_to_a_registered_model(site: Path, tmp_path: Path) -> None:
    boxes = [("cat", 8, 8, 40, 40), ("dog", 44, 10, 76, 50)]
    images = folders.voc(tmp_path / "images", {f"image{number}": boxes for number in range(12)})
    project = Own(tmp_path / "mine")
    project.site = site
    made = subprocess.run(
        [*YOLOX, "init", str(project.root), "--data", str(images)],
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
    (metadata,) = site.glob("*.dist-info/METADATA")
    released = metadata.read_text()
    try:
        metadata.write_text(released.replace("\nVersion: ", "\nVersion: 9.", 1))
        assert ran(project.repro("ingest")) == ["fingerprint", "ingest"]
    finally:
        metadata.write_text(released)
