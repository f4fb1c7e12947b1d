"""The `yolox` command in an empty project, for the tests of commands and refusals."""

from pathlib import Path

import pytest

from tests.pipeline.commands_project import Yolox, released


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released folder; not to be changed."""
    return released(tmp_path_factory.mktemp("model") / "released")


@pytest.fixture
def yolox(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Yolox:
    """The command, with tmp_path/project as the current folder."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return Yolox(capsys, monkeypatch)
