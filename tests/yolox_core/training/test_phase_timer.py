"""Where the time goes: every second in one phase, shares that add up, nothing left over from an epoch to the next."""

import itertools
from pathlib import Path

import pytest
import torch

from tests.yolox_core.training.small import small_job
from yolox_core.training import phase_timer
from yolox_core.training.engine import EpochReport, train
from yolox_core.training.phase_timer import PHASES, PhaseTimer


def test_each_second_belongs_to_the_phase_that_was_entered_last(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.accumulate([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    monkeypatch.setattr(phase_timer.time, "perf_counter", lambda: next(ticks))
    phases = PhaseTimer(torch.device("cpu"))
    for phase in ("data", "forward", "assign", "data"):  # at 0, 1, 3 and 7
        phases.enter(phase)
    taken = phases.take()  # at 15
    assert taken == dict.fromkeys(PHASES, 0.0) | {"data": 1.0 + 8.0, "forward": 2.0, "assign": 4.0}
    phases.enter("loss")  # at 31: what passed since belongs to nobody
    assert phases.take() == dict.fromkeys(PHASES, 0.0) | {"loss": 32.0}


def test_a_run_says_where_its_time_went(tmp_path: Path) -> None:
    reports = [report for report in train(small_job(tmp_path, checkpoints=tmp_path / "checkpoints"))]
    epochs = [report for report in reports if isinstance(report, EpochReport)]
    for report in epochs:
        shares = {name.removeprefix("share/"): value for name, value in report.timing.items() if "share/" in name}
        assert set(shares) == {*PHASES, "evaluate", "checkpoint"}
        whole_s = report.timing["checkpoint_s"] / shares["checkpoint"]
        training_s = whole_s * (1 - shares["evaluate"] - shares["checkpoint"])
        assert 0 < training_s <= report.timing["train_s"]  # no second counts twice
        assert all(shares[name] > 0 for name in ("forward", "assign", "loss", "backward", "optimizer", "checkpoint"))
        assert shares["backward"] > shares["communicate"]  # one worker has nobody to talk to
    assert all("share" not in name for report in epochs for name in report.row)  # a row repeats, times do not


def test_checkpoints_are_as_rare_as_told_but_never_miss_the_end(tmp_path: Path) -> None:
    job = small_job(tmp_path, checkpoints=tmp_path / "checkpoints", checkpoint_every=3, validation=None)
    written = [report.checkpoint for report in train(job) if isinstance(report, EpochReport)]
    assert [path is not None for path in written] == [False, False, True, True]
