"""The engine: it learns, repeats itself to the bit, resumes to the bit, and knows when to close."""

import dataclasses
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.waiting import until
from tests.yolox_core.training.small import last, scenes, small_job, small_recipe
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.model.weights import Weights, read_weights
from yolox_core.model.yolox import build_model, check_freezing
from yolox_core.training import checkpoint
from yolox_core.training.checkpoint_saver import Saver
from yolox_core.training.engine import EpochReport, Left, Started, StepReport, TrainingDiverged, train
from yolox_core.training.state import TrainingState


def state_of(path: Path | None) -> dict[str, torch.Tensor]:
    assert path is not None
    content = checkpoint.read(path)
    flat = {f"raw {name}": tensor for name, tensor in content["model"].items()}
    return flat | {f"ema {name}": tensor for name, tensor in content["ema"]["model"].items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


@pytest.mark.parametrize(
    ("asked_at", "epoch", "steps"),
    # an epoch asks at three steps, then before two evaluated batches
    [(1, 0, 1), (3, 0, 3), (4, 0, 3), (5, 0, 3), (8, 1, 3), (17, 3, 2), (20, 3, 3)],
)
def test_told_to_leave_saves_the_step_and_goes_on_to_the_same_bits(
    data: Path, tmp_path: Path, undisturbed: EpochReport, asked_at: int, epoch: int, steps: int
) -> None:
    asked = 0

    def leave() -> bool:
        nonlocal asked
        asked += 1
        return asked >= asked_at

    *_, end = train(small_job(data, checkpoints=tmp_path, leave=leave))
    assert end == Left(epoch, steps, steps_per_epoch=3)
    assert asked <= asked_at + 1  # it left at once
    assert (tmp_path / f"epoch_{epoch:05d}_step_{steps:06d}.pt").is_file()
    resumed = last(small_job(data, checkpoints=tmp_path))
    assert resumed.history == undisturbed.history
    assert_same(state_of(resumed.checkpoint), state_of(undisturbed.checkpoint))


def test_told_to_leave_at_the_end_of_an_epoch_saves_the_epoch(data: Path, tmp_path: Path) -> None:
    asked = 0

    def leave() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 3

    *_, end = train(small_job(data, checkpoints=tmp_path, leave=leave, validation=None))
    assert end == Left(1, 0, steps_per_epoch=3)
    assert (tmp_path / "epoch_00001.pt").is_file()


def test_told_to_leave_at_the_very_end_ends(data: Path) -> None:
    asked = 0

    def leave() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 12

    *_, end = train(small_job(data, leave=leave, validation=None))
    assert isinstance(end, EpochReport) and end.row["epoch"] == 3


def test_training_does_not_wait_for_the_disk(
    data: Path, tmp_path: Path, undisturbed: EpochReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is held back until the epoch after it has begun: what it holds is still its own epoch's state."""
    begun: list[threading.Event] = [threading.Event() for _ in range(5)]
    saved, held = torch.save, []

    def slow(content: dict[str, Any], file: Any) -> None:
        held.append(begun[content["progress"]["epoch"]].wait(60))
        saved(content, file)

    monkeypatch.setattr(torch, "save", slow)
    begun[4].set()  # nothing comes after the last
    for report in train(small_job(data, checkpoints=tmp_path)):
        if isinstance(report, StepReport) and report.step_in_epoch == 2:
            begun[report.epoch].set()
    assert all(held) and len(held) > 3
    assert_same(state_of(tmp_path / "epoch_00004.pt"), state_of(undisturbed.checkpoint))
    undo = tmp_path / "epoch_00004.pt"
    undo.unlink()
    assert last(small_job(data, checkpoints=tmp_path)).history == undisturbed.history


@pytest.mark.parametrize(("stop_after", "workers"), [(1, 0), (2, 0), (3, 0), (2, 2)])
def test_resumes_to_the_bit(
    data: Path, tmp_path: Path, undisturbed: EpochReport, stop_after: int, workers: int
) -> None:
    job = small_job(data, checkpoints=tmp_path, loader_workers=workers)
    run = train(job)
    for report in run:
        if isinstance(report, StepReport) and (report.epoch, report.step_in_epoch) == (stop_after, 2):
            break  # in the middle of an epoch, as a killed process would
    run.close()  # type: ignore[attr-defined]
    torch.manual_seed(99)  # whatever else the process did must not matter
    resumed = last(job)
    assert resumed.history == undisturbed.history
    assert_same(state_of(resumed.checkpoint), state_of(undisturbed.checkpoint))


def test_a_damaged_newest_checkpoint_falls_back_and_says_so(
    data: Path, tmp_path: Path, undisturbed: EpochReport
) -> None:
    job = small_job(data, checkpoints=tmp_path)
    run = train(job)
    newest = [report.checkpoint for report in run if isinstance(report, EpochReport)][-1]
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:5000])
    reports = list(train(job))
    started = reports[0]
    assert isinstance(started, Started) and started.epoch == 3
    assert "epoch_00004.pt" in started.notes[0] and "The one before is used" in started.notes[0]
    assert_same(state_of(job.checkpoints / "epoch_00004.pt"), state_of(undisturbed.checkpoint))  # type: ignore[operator]


def test_only_the_newest_two_and_the_best_are_kept(data: Path, tmp_path: Path) -> None:
    job = small_job(data)
    state = TrainingState.fresh(build_model(job.recipe.model), job.recipe)
    with Saver(tmp_path) as saver:
        for epoch in (1, 2, 3, 4):
            state.epoch = epoch
            saver.save(state, job.recipe, job.spec, threads=1, is_best=epoch == 2)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["best.pt", "epoch_00003.pt", "epoch_00004.pt"]
    assert checkpoint.read(tmp_path / "best.pt")["progress"]["epoch"] == 2


def test_a_checkpoint_is_read_as_weights_with_its_names(data: Path, tmp_path: Path) -> None:
    job = small_job(data, checkpoints=tmp_path)
    report = last(job)
    assert report.checkpoint is not None
    weights = read_weights(report.checkpoint)
    assert weights.spec == job.spec
    assert_same(dict(weights.state), {k: v for k, v in checkpoint.read(report.checkpoint)["ema"]["model"].items()})


def test_loss_falls_and_the_closing_phase_has_l1(undisturbed: EpochReport) -> None:
    rows = undisturbed.history
    assert rows[2]["loss"] < rows[0]["loss"]
    assert [row["loss/l1"] > 0 for row in rows] == [False, False, False, True]
    assert all("map" in row for row in rows)


def test_patience_jumps_to_the_closing_phase_before_it_ends(data: Path) -> None:
    recipe = small_recipe(epochs=9, closing_epochs=2, patience=2, learning_rate=1e-9)
    rows = last(small_job(data, recipe)).history
    # with a rate of nothing the map stays 0: closing begins after two evaluations, for its two epochs
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert [row["loss/l1"] > 0 for row in rows] == [False, False, True, True]


def test_evaluates_every_n_epochs_and_always_in_the_closing_phase(data: Path) -> None:
    rows = last(small_job(data, small_recipe(epochs=6, closing_epochs=2, evaluate_every=3))).history
    assert [row["epoch"] for row in rows if "map" in row] == [2, 4, 5]


def test_frozen_parts_stay_as_they_are(data: Path, tmp_path: Path) -> None:
    recipe = small_recipe(epochs=2, freeze=("backbone",))
    before = Weights(small_job(data).spec, _initial(recipe), "start")
    report = last(small_job(data, recipe, initial=before, checkpoints=tmp_path))
    assert report.checkpoint is not None
    after = checkpoint.read(report.checkpoint)["model"]
    moved = {name for name in after if not torch.equal(after[name], before.state[name])}
    assert not [name for name in moved if name.startswith("backbone.backbone.")]
    assert [name for name in moved if name.startswith("head.")]


def test_accumulation_does_not_change_the_step(data: Path) -> None:
    """With batch norm frozen, one micro-batch of four and four of one give the same losses and weights."""
    rows = [
        last(
            small_job(data, small_recipe(epochs=2, freeze_batch_norm=True, micro_batch_size=size, closing_epochs=0))
        ).row
        for size in (4, 1)
    ]
    for name in ("loss", "loss/iou", "loss/objectness", "loss/class"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-4), name


def test_without_validation_nothing_is_measured(data: Path, tmp_path: Path) -> None:
    report = last(small_job(data, validation=None, checkpoints=tmp_path))
    assert not any("map" in row for row in report.history)
    assert not (tmp_path / "best.pt").exists()


def test_images_without_objects_train(data: Path) -> None:
    records = scenes(data)
    empty = [ImageRecord(i.image_id, i.file_name, i.height, i.width) for i in records.images[:4]]
    job = dataclasses.replace(
        small_job(data), training=DatasetRecords(records.image_root, records.categories, empty), validation=None
    )
    row = last(job).row
    assert row["loss/iou"] == 0 and row["loss/objectness"] > 0


def test_a_loss_that_is_not_a_number_names_step_parts_and_images(data: Path, tmp_path: Path) -> None:
    job = small_job(data, small_recipe(learning_rate=1e18), checkpoints=tmp_path)
    with pytest.raises(
        TrainingDiverged, match=r"epoch \d, step \d of 3: the loss is not a number: .*loss/iou.*images \[\d"
    ):
        last(job)


@contextmanager
def no_file_beyond(limit_bytes: int) -> Iterator[None]:
    """The system refuses to write more into a file, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_saving_loses_nothing(data: Path, tmp_path: Path, undisturbed: EpochReport) -> None:
    run = train(small_job(data, checkpoints=tmp_path))
    next(report for report in run if isinstance(report, EpochReport))
    until((tmp_path / "epoch_00001.pt").is_file, 60)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        no_file_beyond(1_000_000),
        pytest.raises(InputError, match=r"epoch_00002\.pt: cannot be saved \(File too large"),
    ):
        list(run)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before  # nothing half written, nothing gone
    resumed = last(small_job(data, checkpoints=tmp_path))
    assert resumed.history == undisturbed.history
    assert_same(state_of(resumed.checkpoint), state_of(undisturbed.checkpoint))


def test_an_image_that_vanishes_is_named_and_loses_nothing(tmp_path: Path, undisturbed: EpochReport) -> None:
    job = small_job(tmp_path / "data", checkpoints=tmp_path / "run")
    run = train(job)
    next(report for report in run if isinstance(report, EpochReport))
    assert job.validation is not None
    image = job.validation.path(job.validation.images[1])
    image.rename(tmp_path / "away")
    with pytest.raises(InputError, match=f"{image.name}: unreadable image: No such file"):
        list(run)
    (tmp_path / "away").rename(image)
    assert last(job).history == undisturbed.history


def test_a_batch_that_does_not_divide_is_refused(data: Path) -> None:
    from yolox_core.collectives import World

    with pytest.raises(InputError, match="multiple of the 3 workers, got 4"):
        next(train(small_job(data, world=World(0, 3))))


def _initial(recipe: object) -> dict[str, torch.Tensor]:
    from yolox_core.config import Recipe

    assert isinstance(recipe, Recipe)
    return {name: tensor.clone() for name, tensor in build_model(recipe.model, 11).state_dict().items()}


def test_validation_images_without_objects_choose_no_best(data: Path, tmp_path: Path) -> None:
    records = scenes(data)
    empty = [ImageRecord(i.image_id, i.file_name, i.height, i.width) for i in records.images[:3]]
    validation = DatasetRecords(records.image_root, records.categories, empty)
    report = last(small_job(data, validation=validation, checkpoints=tmp_path))
    assert not report.is_best
    assert not (tmp_path / "best.pt").exists()


def test_nothing_left_to_train_is_refused() -> None:
    check_freezing(("backbone", "neck"))
    with pytest.raises(InputError, match="something left to train"):
        check_freezing(("backbone", "neck", "head"))


def test_deterministic_asks_torch_for_kernels_that_repeat(data: Path, undisturbed: EpochReport) -> None:
    """On a CPU every kernel does, so the figures stay; what CUDA has no such kernel for only a GPU can tell."""
    run = train(small_job(data, small_recipe(deterministic=True)))
    next(run)
    assert torch.are_deterministic_algorithms_enabled()
    reports = [report for report in run if isinstance(report, EpochReport)]
    assert reports[-1].history == undisturbed.history
    assert not torch.are_deterministic_algorithms_enabled()
