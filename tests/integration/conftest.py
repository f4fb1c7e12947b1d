"""The runs that several tests look at, made once."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.nodes import Nodes
from tests.integration.project import Family, Project, finish
from tests.servers import answers, free_port
from tests.waiting import until

NODE_WITHIN_S = 120.0
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


@pytest.fixture
def nodes(prepared: Project) -> Iterator[Nodes]:
    """A head without cores, and three nodes of one core."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as temp:
        cluster = Nodes(Path(temp), port=free_port(), dashboard=free_port())
        try:
            cluster.start(
                "--head",
                f"--port={cluster.port}",
                f"--dashboard-port={cluster.dashboard}",
                "--num-cpus=0",
                f"--temp-dir={temp}",
                project=prepared,
            )
            until(lambda: answers(cluster.port) and answers(cluster.dashboard), NODE_WITHIN_S)
            for _ in range(3):  # one after the other: three at once are too slow for Ray on two cores
                cluster.start(f"--address=127.0.0.1:{cluster.port}", "--num-cpus=1", project=prepared)
                until(cluster.last_is_up, NODE_WITHIN_S)
            yield cluster
        finally:
            for node in cluster.nodes:
                if node.poll() is None:
                    cluster.kill(node)
