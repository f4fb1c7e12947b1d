"""`dvc repro` runs without git, with a shell that is none, and where its cache for all users cannot be."""

import subprocess
from pathlib import Path

import pytest

from pipeline.cli.repro.dvc_command import COMMAND, dvc_environment

GRAPH = "stages: {one: {cmd: yolox --help > out, outs: [out: {cache: false}]}}"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "given",
    [{}, {"SHELL": "/nonexistent"}, {"SHELL": "/bin/false"}, {"DVC_SITE_CACHE_DIR": "/proc/none"}, {"PATH": "/bin"}],
    ids=str,
)
def test_it_runs_in_any_environment(given: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    config = (project / ".dvc/config").read_bytes()
    (project / ".git").mkdir()  # as containers mount over a repository
    with dvc_environment() as environment:
        done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "predict" in (project / "out").read_text()
    assert (project / ".dvc/config").read_bytes() == config and not (project / ".dvc/config.local").exists()
