"""What the release before made, as README.md here says: unpacked once, copied for each test that changes it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility import unpack

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """What the release before answered."""
    answers: dict[str, Any] = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
    return answers


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the release before, in a new git repository; not to be changed."""
    project = unpack.unpack(HERE / "project.tar.xz", tmp_path_factory.mktemp("earlier"))
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    return project


@pytest.fixture
def earlier(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder."""
    project = unpack.copy(unpacked, tmp_path / "project")
    monkeypatch.chdir(project)
    return project
