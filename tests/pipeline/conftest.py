"""The `yolox` command in an empty project, and a real sqlite store of MLflow.

The store's tables are made once a session (7 s) and the file is copied for each test.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.registry.store import DATABASE, connect
from tests.pipeline.cli.commands_project import Yolox, released


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


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them."""
    folder = tmp_path_factory.mktemp("mlflow")
    before = Path.cwd()
    os.chdir(folder)
    try:
        connect(f"sqlite:///{folder / DATABASE}")
    finally:
        os.chdir(before)
    return folder / DATABASE


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's root with an empty default store, as the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / DATABASE)
    yield tmp_path
