"""`yolox runs` tells a finished, an interrupted and a running run apart, and removes only what nobody needs."""

import json
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.cli.runs import runs, sweep_progress
from pipeline.sweep.trial import Trial, write_trial
from pipeline.training.run_list import FRESH_S, list_runs
from tests.yolox_core.training.small import small_job
from yolox_core.training.engine import StepReport, train

RELEASED, OLD, TODAY, BEGUN, EMPTY = (f"scenes-{letter * 10}" for letter in "abcde")


SWEEP = f"sweep-scenes-{'f' * 10}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs: finished and released, finished and superseded, interrupted; and an empty folder."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "scenes"
    for name in (RELEASED, OLD, TODAY):
        for _ in train(small_job(data, checkpoints=tmp_path / "runs" / name / "checkpoints")):
            pass
    for report in train(small_job(data, checkpoints=tmp_path / "runs" / BEGUN / "checkpoints")):
        if isinstance(report, StepReport) and report.epoch == 2:
            break
    (tmp_path / "runs" / EMPTY).mkdir()
    for state in ("finished", "failed", "running"):
        write_trial(tmp_path / "runs" / SWEEP / "trials" / state, Trial(state, {}, state, []))
    (tmp_path / "runs" / "notes").mkdir()  # none of ours
    (tmp_path / "runs" / f"linked-{'e' * 10}").symlink_to(tmp_path / "scenes")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "training.json").write_text(json.dumps({"run": RELEASED}))
    long_ago = time.time() - 2 * FRESH_S
    for path in (tmp_path / "runs").rglob("*"):
        if TODAY not in path.parts:
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    return tmp_path


def test_runs_are_told_apart_and_cleaned(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {run.name: (run.state, run.epochs, run.kept_for) for run in list_runs(sweep_progress)}
    assert states == {
        BEGUN: ("interrupted", "2/4", "can resume"),
        EMPTY: ("empty", "0 epochs", None),
        OLD: ("complete", "4/4", None),
        SWEEP: ("sweep", "2/3 trials", "trials of a sweep: remove it by hand"),
        TODAY: ("complete", "4/4", "of today"),
        RELEASED: ("complete", "4/4", "released"),
    }
    lock = project / "runs" / OLD / "lock"
    with FileLock(lock):
        assert {run.name: run.kept_for for run in list_runs(sweep_progress)}[OLD] == "running"
    os.utime(lock, (0, 0))
    os.utime(lock.parent, (0, 0))
    runs(clean=True, yes=True)
    left = {path.name for path in (project / "runs").iterdir()}
    assert left == {BEGUN, RELEASED, SWEEP, TODAY, "notes", f"linked-{'e' * 10}"}
    assert f"removed {OLD}" in capsys.readouterr().out


def test_a_project_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list_runs(sweep_progress) == []
