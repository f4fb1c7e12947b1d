"""How far a run is, said by a small file beside its checkpoints, which never contradicts them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.yolox_core.training.small import counted_loads, small_recipe
from yolox_core.config import DetectorSpec
from yolox_core.model.yolox import build_model
from yolox_core.training import checkpoint
from yolox_core.training.checkpoint import PROGRESS, Progress, progress
from yolox_core.training.checkpoint_saver import Saver
from yolox_core.training.engine import EpochReport
from yolox_core.training.state import TrainingState


@pytest.fixture(scope="session")
def finished(undisturbed: EpochReport) -> Path:
    """The checkpoints of a run of four epochs."""
    assert undisturbed.checkpoint is not None
    return undisturbed.checkpoint.parent


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def by_checkpoint(folder: Path) -> Progress | None:
    """What the newest checkpoint that can be read says."""
    found = checkpoint.newest(folder)
    return Progress.of(found.path, found.content) if found.path and found.content else None


def test_a_finished_run_is_known_without_loading_a_checkpoint(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted_loads(monkeypatch) as loads:
        said = progress(finished)
    assert not loads
    assert said == by_checkpoint(finished) and said is not None
    assert (said.checkpoint, said.epoch, said.epochs, said.complete) == ("epoch_00004.pt", 4, 4, True)
    assert json.loads((finished / PROGRESS).read_text())["complete"] is True


def test_an_interrupted_run_says_how_far_it_is(tmp_path: Path) -> None:
    recipe = small_recipe()
    state = TrainingState.fresh(build_model(recipe.model), recipe)
    state.epoch, state.step, state.step_in_epoch = 2, 7, 1
    spec = DetectorSpec(recipe.model, tuple("abcde"), (1, 2, 3, 4, 5), recipe.train.input_size)
    with Saver(tmp_path) as saver:
        path = saver.save(state, recipe, spec, threads=1, is_best=False)
    assert progress(tmp_path) == Progress(path.name, 2, 4, 7, 1, 3, None, complete=False)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"checkpoint": "epoch_00004.pt"}'])
def test_a_run_without_a_readable_progress_is_known_by_its_checkpoint(copy: Path, content: str | None) -> None:
    """As runs of before are, which have none."""
    (copy / PROGRESS).unlink()
    if content is not None:
        (copy / PROGRESS).write_text(content)
    assert progress(copy) == by_checkpoint(copy) is not None


def test_killed_between_a_checkpoint_and_its_progress(copy: Path) -> None:
    """The file still speaks of the epoch before: the newer checkpoint decides."""
    (copy / "epoch_00004.pt").rename(copy.parent / "newest.pt")
    third = by_checkpoint(copy)
    assert third is not None and third.epoch == 3
    (copy / PROGRESS).write_text(json.dumps(vars(third)))
    assert progress(copy) == third and not third.complete
    (copy.parent / "newest.pt").rename(copy / "epoch_00004.pt")
    said = progress(copy)
    assert said is not None and said.complete


def test_what_speaks_of_an_absent_checkpoint_counts_for_nothing(copy: Path) -> None:
    (copy / "epoch_00004.pt").unlink()
    said = progress(copy)
    assert said is not None and (said.checkpoint, said.complete) == ("epoch_00003.pt", False)
    for path in copy.glob("*.pt"):
        path.unlink()
    assert progress(copy) is None


def test_a_damaged_checkpoint_decides_itself(copy: Path) -> None:
    """Wherever its bytes are wrong or missing, the answer is that of reading it."""
    newest = copy / "epoch_00004.pt"
    whole = newest.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 1, len(whole) - 1, *rng.integers(0, len(whole), 12).tolist()]:
        newest.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert progress(copy) == by_checkpoint(copy)
    newest.write_bytes(whole[:5000])
    said = progress(copy)
    assert said is not None and (said.checkpoint, said.complete) == ("epoch_00003.pt", False)
