"""One run of a project at a time; the lock goes with the last process that holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import project_lock
from pipeline.config.project_lock import dvc_root, project_run_lock, stage_lock
from tests.waiting import until
from yolox_core.errors import InputError

HOLD = """
import subprocess, sys, time
from pipeline.config.project_lock import project_run_lock, stage_lock
if sys.argv[1] == "stage":
    with stage_lock():
        print("held", flush=True)
        time.sleep(60)
with project_run_lock() as lock:
    child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,)) if sys.argv[1] == "child" else None
    print("held", child and child.pid, flush=True)
    time.sleep(60)
"""
WITHIN_S = 30.0


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def holder(kind: str) -> "tuple[subprocess.Popen[str], list[str]]":
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[0] == "held"
    return process, words


def test_a_second_run_is_refused_by_name_and_the_lock_goes_with_a_kill() -> None:
    process, _ = holder("alone")
    try:
        with (
            pytest.raises(InputError, match=rf"\(process {process.pid}, since 20\S+\)"),
            project_run_lock(),
        ):
            pass
    finally:
        process.kill()
        process.wait()
    with project_run_lock():
        pass


def test_the_lock_stays_while_what_the_run_started_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_lock, "ENDS_WITHIN_S", 0.5)
    process, words = holder("child")
    process.kill()
    process.wait()
    with pytest.raises(InputError, match=f"process {process.pid}"), project_run_lock():
        pass
    os.kill(int(words[1]), signal.SIGKILL)
    monkeypatch.setattr(project_lock, "ENDS_WITHIN_S", WITHIN_S)
    with project_run_lock():
        pass


def test_no_run_begins_beside_a_stage_and_stages_are_beside_each_other() -> None:
    process, _ = holder("stage")
    try:
        with stage_lock():
            pass
        with pytest.raises(InputError, match="another run"), project_run_lock():
            pass
    finally:
        process.kill()
        process.wait()


def test_a_run_waits_for_what_a_killed_one_is_still_ending() -> None:
    process, words = holder("child")
    process.kill()
    process.wait()
    ender = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {words[1]}"])
    with project_run_lock():
        assert ender.wait(WITHIN_S) == 0


def test_the_project_is_found_from_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "a/b").mkdir(parents=True)
    monkeypatch.chdir(project / "a/b")
    assert dvc_root() == project
    with stage_lock():
        until((project / ".dvc/tmp/yolox-stages.lock").is_file, WITHIN_S)
    assert not (project / "a/b/.dvc").exists()
