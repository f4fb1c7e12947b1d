"""`yolox runs` tells a finished, an interrupted and a running run apart, and removes only what nobody needs."""

import fcntl
import json
from pathlib import Path

import pytest

from pipeline.commands.runs import look, runs
from tests.yolox_core.train.small import small_job
from yolox_core.train.engine import StepReport, train


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs: finished and released, finished and superseded, interrupted; and an empty folder."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "scenes"
    for name in ("released", "old"):
        for _ in train(small_job(data, checkpoints=tmp_path / "runs" / name / "checkpoints")):
            pass
    for report in train(small_job(data, checkpoints=tmp_path / "runs" / "begun" / "checkpoints")):
        if isinstance(report, StepReport) and report.epoch == 2:
            break
    (tmp_path / "runs" / "nothing").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "training.json").write_text(json.dumps({"run": "released"}))
    return tmp_path


def test_runs_are_told_apart_and_cleaned(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {run.name: (run.state, run.epochs, run.kept_for) for run in look()}
    assert states == {
        "begun": ("interrupted", "2/4", "can go on"),
        "nothing": ("empty", "0 epochs", None),
        "old": ("complete", "4/4", None),
        "released": ("complete", "4/4", "released"),
    }
    with (project / "runs" / "old" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert {run.name: run.kept_for for run in look()}["old"] == "running"
    runs(clean=True, yes=True)
    assert sorted(path.name for path in (project / "runs").iterdir()) == ["begun", "released"]
    assert "removed old" in capsys.readouterr().out


def test_a_project_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert look() == []
