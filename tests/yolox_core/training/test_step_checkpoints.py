"""Checkpoints within an epoch, by time: a run that was killed goes on from the last one, with the same bits.

With several workers, too, whose batch-norm statistics differ until the epoch ends.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.yolox_core.processes import in_processes
from tests.yolox_core.training.small import last, scenes, small_job, small_recipe
from yolox_core.collectives import World
from yolox_core.model.yolox import build_model
from yolox_core.training import checkpoint
from yolox_core.training.checkpoint_saver import restore, statistics_of
from yolox_core.training.engine import EpochReport, Saved, StepReport, TrainingJob, train
from yolox_core.training.state import TrainingState

AT_EVERY_STEP = 1e-9  # minutes
BETWEEN = "epoch_00001_step_000001.pt"  # the newest where a run was killed in the second step of its second epoch


def killed(job: TrainingJob) -> list[Saved]:
    """Run it as far as the second step of its second epoch; what it said to have saved."""
    run, saved = train(job), []
    for report in run:
        if isinstance(report, Saved):
            saved.append(report)
        if isinstance(report, StepReport) and (report.epoch, report.step_in_epoch) == (1, 2):
            break
    run.close()  # type: ignore[attr-defined]
    return saved


def tensors(path: Path | None) -> dict[str, torch.Tensor]:
    assert path is not None
    content = checkpoint.read(path)
    return {**content["model"], **{f"ema {name}": tensor for name, tensor in content["ema"]["model"].items()}}


def test_a_killed_run_goes_on_from_the_step(data: Path, tmp_path: Path, undisturbed: EpochReport) -> None:
    job = small_job(data, checkpoints=tmp_path, checkpoint_minutes=AT_EVERY_STEP)
    saved = killed(job)
    assert [(report.epoch, report.step_in_epoch) for report in saved] == [(0, 1), (0, 2), (1, 1)]
    assert sorted(path.name for path in tmp_path.glob("epoch_*")) == ["epoch_00001.pt", BETWEEN]
    assert saved[-1].checkpoint == tmp_path / BETWEEN
    steps = [report for report in train(dataclasses.replace(job, checkpoint_minutes=None))]
    done = [(report.epoch, report.step_in_epoch) for report in steps if isinstance(report, StepReport)]
    assert done[:3] == [(1, 2), (1, 3), (2, 1)]  # one step is done again
    end = [report for report in steps if isinstance(report, EpochReport)][-1]
    assert end.history == undisturbed.history
    ours, theirs = tensors(end.checkpoint), tensors(undisturbed.checkpoint)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_none_is_due_sooner(data: Path, tmp_path: Path) -> None:
    assert not killed(small_job(data, checkpoints=tmp_path, checkpoint_minutes=60))
    assert [path.name for path in tmp_path.glob("epoch_*")] == ["epoch_00001.pt"]


def several(folder: Path, place: Path, sync: bool) -> dict[str, Any]:
    """In each worker: the run undisturbed, and killed in its second epoch and resumed."""
    recipe = small_recipe(epochs=3, micro_batch_size=None, sync_batch_norm=sync)

    def job(name: str, minutes: float | None = None) -> TrainingJob:
        world = World.current()
        made = small_job(folder, recipe, checkpoints=place / name, checkpoint_minutes=minutes, world=world)
        return dataclasses.replace(made, threads=1)

    whole = last(job("whole"))
    saved = killed(job("killed", AT_EVERY_STEP))
    resumed = last(job("killed"))
    return {"whole": whole.row["loss"], "resumed": resumed.row["loss"], "saved": len(saved)}


@pytest.mark.parametrize("sync", [False, True])
def test_two_workers_go_on_with_the_same_bits(tmp_path: Path, sync: bool) -> None:
    scenes(tmp_path / "data")
    first, second = in_processes(several, tmp_path / "work", tmp_path / "data", tmp_path, sync)
    assert first == second
    assert first["resumed"] == first["whole"] and first["saved"] == 3
    ours, theirs = (tensors(tmp_path / name / "epoch_00003.pt") for name in ("killed", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_number_of_workers_takes_the_mean_of_the_statistics(data: Path, tmp_path: Path) -> None:
    job = small_job(data, checkpoints=tmp_path, checkpoint_minutes=AT_EVERY_STEP)
    killed(job)
    content = checkpoint.read(tmp_path / BETWEEN)
    assert content["statistics"] == []
    state = TrainingState.fresh(build_model(job.recipe.model), job.recipe)
    own = statistics_of(state)
    two = [
        {kind: {name: torch.full_like(buffer, value) for name, buffer in of.items()} for kind, of in own.items()}
        for value in (1.0, 2.0)
    ]
    for world, expected in ((World(0, 2), 1.0), (World(1, 2), 2.0), (World(), 1.5), (World(2, 3), 1.5)):
        restore(state, {**content, "statistics": two}, world)
        values = [buffer for of in statistics_of(state).values() for buffer in of.values()]
        assert values and all(bool((buffer == expected).all()) for buffer in values)
