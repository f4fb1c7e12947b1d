"""A project of `yolox init` as the release before left it: brought up to date, and as it was."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config import paths
from tests.compatibility.unpack import copy
from tests.integration.project import YOLOX, finish
from tests.integration.test_own_project import Own
from tests.integration.test_repro import STAGES, load, ran
from tests.needs import ROOT
from tests.pipeline.data import folders

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]

OWN = ("pipeline", "yolox_core")


@dataclass(frozen=True)
class Upgraded:
    """The project after `yolox init --upgrade` and `dvc repro`, with packages of the user's own in its folder."""

    project: Own
    graph_before: str
    said: str  # by the upgrade
    printed: str  # by dvc


@pytest.fixture(scope="module")
def upgraded(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Upgraded:
    project = Own(copy(unpacked, tmp_path_factory.mktemp("upgraded") / "project"))
    project.site = ROOT
    for name in OWN:
        folders.write(project.root / name / "__init__.py", "raise ImportError('a package of the user')\n")
    before = (project.root / "dvc.yaml").read_text(encoding="utf-8")
    said = finish(project.start(*YOLOX, "init", "--upgrade"))
    return Upgraded(project, before, said, project.repro(YOLOX_LOADER_WORKERS="1"))


def test_an_upgrade_changes_the_graph_alone_and_the_project_runs(upgraded: Upgraded, unpacked: Path) -> None:
    """Neither stages, nor workers of Ray, nor their loaders take the user's packages for ours."""
    assert "  train: cmd, params\n" in upgraded.said, upgraded.said
    root = upgraded.project.root
    assert (root / "params.yaml").read_bytes() == (unpacked / "params.yaml").read_bytes()
    assert ran(upgraded.printed) == list(STAGES)
    assert "deprecated" not in upgraded.printed
    assert load(root / paths.REGISTRATION)["name"] == "yolox-shapes" and (root / paths.REPORT).is_file()
    assert load(root / paths.METRICS).keys() == load(unpacked / paths.METRICS).keys()


def test_the_older_names_run_every_stage(upgraded: Upgraded) -> None:
    """Training is complete, so that it is only released again."""
    root = upgraded.project.root
    for name in OWN:
        shutil.rmtree(root / name)
    (root / "dvc.yaml").write_text(upgraded.graph_before, encoding="utf-8")
    trained = load(root / paths.TRAINING)
    printed = upgraded.project.repro()
    assert ran(printed) == list(STAGES)
    for name in ("package", *STAGES):
        assert printed.count(f"deprecated: `python -m pipeline.stages.{name}`") == 1, name
    assert load(root / paths.TRAINING) == trained and "epoch 1" not in printed
