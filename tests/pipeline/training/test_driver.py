"""A finished run is recognized and released with one checkpoint read; an older or half-written one as it was."""

import json
from pathlib import Path

import pytest

from pipeline.config import paths
from pipeline.training import precision
from pipeline.training.driver import clear, is_complete, release_run, say_if_locked
from pipeline.training.run_folder import write_history
from pipeline.training.run_lock import run_lock
from tests.yolox_core.training.small import counted_loads, small_recipe
from yolox_core.config import DetectorSpec
from yolox_core.model.yolox import build_model
from yolox_core.training import checkpoint
from yolox_core.training.checkpoint_saver import Saver
from yolox_core.training.state import TrainingState

ROWS = [{"epoch": epoch, "loss": 0.1 * epoch, "map": 0.3 - 0.05 * epoch} for epoch in range(4)]


def run(folder: Path, best_epoch: int | None, epochs: int = 4) -> Path:
    """A run's folder after so many of its four epochs."""
    recipe = small_recipe()
    state = TrainingState.fresh(build_model(recipe.model), recipe)
    spec = DetectorSpec(recipe.model, tuple("abcde"), (1, 2, 3, 4, 5), recipe.train.input_size)
    with Saver(folder / "checkpoints") as saver:
        for state.epoch in range(1, epochs + 1):
            state.history = ROWS[: state.epoch]
            state.best_epoch = best_epoch
            saver.save(state, recipe, spec, threads=1, is_best=state.epoch - 1 == best_epoch)
    write_history(folder, ROWS[:epochs])
    return folder


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("best_epoch", "released"), [(1, "best.pt"), (None, "epoch_00004.pt")])
def test_a_finished_run_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best_epoch: int | None, released: str
) -> None:
    folder = run(tmp_path / "run", best_epoch)
    with counted_loads(monkeypatch) as loads:
        assert is_complete(folder)
        release_run(folder)
    assert [path.name for path in loads] == [released]
    report = json.loads(paths.TRAINING.read_text())
    assert (report["epochs"], report["best_epoch"]) == (4, best_epoch)
    assert report["released"] == ("last" if best_epoch is None else "best")


def test_a_run_of_before_is_released_the_same(tmp_path: Path) -> None:
    """It has no progress.json."""
    folder = run(tmp_path / "run", 1)
    release_run(folder)
    now = {path: path.read_bytes() for path in (paths.TRAINING, paths.HISTORY, folder / "history.jsonl")}
    (folder / "checkpoints" / checkpoint.PROGRESS).unlink()
    assert is_complete(folder)
    release_run(folder)
    assert {path: path.read_bytes() for path in now} == now


@pytest.mark.parametrize("rows", [[], ROWS[:3]])
def test_rows_that_a_killed_driver_has_not_written_come_from_the_checkpoint(
    tmp_path: Path, rows: list[dict[str, float]]
) -> None:
    folder = run(tmp_path / "run", None)
    write_history(folder, rows)
    release_run(folder)
    assert [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()] == ROWS
    assert len(paths.HISTORY.read_text().splitlines()) == 1 + len(ROWS)


def test_an_interrupted_run_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(run(tmp_path / "run", None, epochs=3))
    assert not is_complete(tmp_path / "nothing")


def test_a_fresh_run_keeps_what_decided_its_precision(tmp_path: Path) -> None:
    """Otherwise it would be measured again, and could be another run."""
    folder = run(tmp_path / "run", None)
    (folder / precision.FILE).write_text("{}")
    (folder / "link").symlink_to(tmp_path)
    with run_lock(folder):
        clear(folder)
    assert [path.name for path in folder.iterdir()] == [precision.FILE]


def test_who_has_to_wait_for_another_process_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with run_lock(tmp_path / "run"):
        say_if_locked(tmp_path / "run")
    assert "run: another process works in this folder; waiting for its end, 120 s at most" in capsys.readouterr().err
    say_if_locked(tmp_path / "run")
    assert capsys.readouterr().err == ""
