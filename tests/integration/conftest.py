"""The runs that several tests look at, made once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.project import Family, Project, finish

NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once


@dataclass(frozen=True)
class Finished:
    """A project after `dvc repro`, first with an MLflow server that is not there, then with the default store."""

    project: Project
    refused: str  # what the first printed
    repeated: str  # what the second printed
    family: Family  # the processes of the first, training among them


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which everything before training is done; copy it."""
    project = Project.make(tmp_path_factory.mktemp("prepared") / "project")
    project.repro("prepare")
    return project


@pytest.fixture(scope="session")
def finished(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The uninterrupted run; not to be changed."""
    project = prepared.copy(tmp_path_factory.mktemp("finished") / "project")
    with Family(project.start("dvc", "repro", MLFLOW_TRACKING_URI=NOBODY)) as family, family.watched():
        refused = finish(family.command)
    assert family.command.returncode != 0
    return Finished(project, refused, project.repro(), family)


@pytest.fixture
def elsewhere(finished: Finished, tmp_path: Path) -> Project:
    """A copy of the finished project that a test may change."""
    return finished.project.copy(tmp_path / "project")
