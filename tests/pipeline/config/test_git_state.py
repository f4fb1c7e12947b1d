"""Which state of the project made a result, with and without git."""

import subprocess
from pathlib import Path

import pytest

from pipeline.config.git_state import project_state


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_folder_without_git_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = project_state(tmp_path)
    assert (state.commit, state.dirty, state.dvc_lock_sha256) == (None, None, None)
    assert state.tags() == {}
    monkeypatch.setenv("PATH", "")  # nor is a machine without git
    assert project_state(tmp_path).commit is None


def test_commit_and_changes_are_seen(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert project_state(tmp_path).commit is None  # nothing committed yet
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("a", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    clean = project_state(tmp_path)
    assert clean.commit is not None and len(clean.commit) == 40 and clean.dirty is False
    (tmp_path / "dvc.lock").write_text("b", encoding="utf-8")
    written = project_state(tmp_path)
    assert written.dirty is False and written.dvc_lock_sha256 != clean.dvc_lock_sha256
    (tmp_path / "params.yaml").write_text("b", encoding="utf-8")
    assert project_state(tmp_path).tags()["git.dirty"] == "true"
