"""A run's checkpoints at an address: they arrive whole, and come back on a node that has none."""

from pathlib import Path

import pytest
import torch

from pipeline.training.checkpoint_sync import CheckpointSync
from tests.waiting import until
from tests.yolox_core.training.small import small_job
from yolox_core.errors import InputError
from yolox_core.training import checkpoint
from yolox_core.training.engine import EpochReport, Left, train


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.pt").write_bytes(content)


def test_a_run_goes_on_where_nothing_of_it_is_left_but_the_address(tmp_path: Path) -> None:
    asked = 0

    def leave() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 7

    address = f"file://{tmp_path / 'store' / 'run'}"
    with CheckpointSync(address, tmp_path / "first"):
        *_, left = train(small_job(tmp_path / "data", checkpoints=tmp_path / "first", leave=leave))
    assert isinstance(left, Left)
    assert names(tmp_path / "store" / "run") == names(tmp_path / "first")
    sync = CheckpointSync(address, tmp_path / "second")
    sync.download()
    with sync:
        *_, resumed = train(small_job(tmp_path / "data", checkpoints=tmp_path / "second"))
    *_, undisturbed = train(small_job(tmp_path / "data", checkpoints=tmp_path / "third"))
    assert isinstance(resumed, EpochReport) and isinstance(undisturbed, EpochReport)
    assert resumed.history == undisturbed.history
    stored, own = (checkpoint.read(tmp_path / place / "epoch_00004.pt") for place in ("store/run", "third"))
    assert all(torch.equal(stored["model"][name], tensor) for name, tensor in own["model"].items())
    assert names(tmp_path / "store" / "run") == names(tmp_path / "third")  # the newest two, and the best


def test_what_is_changed_is_sent_again_and_what_is_gone_goes(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, best=b"1", epoch_00001=b"1")
    with CheckpointSync(f"file://{there}", here):
        until(lambda: there.is_dir() and names(there) == ["best.pt", "epoch_00001.pt"], 30)
        write(here, best=b"2", epoch_00002=b"2")
        (here / "epoch_00001.pt").unlink()
    assert names(there) == ["best.pt", "epoch_00002.pt"]
    assert (there / "best.pt").read_bytes() == b"2"


def test_an_older_address_does_not_touch_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "here", best=b"own", epoch_00003=b"own")
    write(tmp_path / "there", best=b"old", epoch_00002=b"old", epoch_00002_step_000005=b"old")
    CheckpointSync(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
    assert names(tmp_path / "here") == ["best.pt", "epoch_00003.pt"]
    assert (tmp_path / "here" / "best.pt").read_bytes() == b"own"


def test_a_newer_address_brings_its_best_as_well(tmp_path: Path) -> None:
    write(tmp_path / "here", best=b"own", epoch_00002=b"own")
    write(tmp_path / "there", best=b"new", epoch_00002_step_000005=b"new")
    (tmp_path / "there" / "epoch_00003.pt.part").write_bytes(b"half")  # whoever sent it was killed
    CheckpointSync(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
    assert names(tmp_path / "here") == ["best.pt", "epoch_00002.pt", "epoch_00002_step_000005.pt"]
    assert (tmp_path / "here" / "best.pt").read_bytes() == b"new"


def test_a_fresh_start_clears_the_address(tmp_path: Path) -> None:
    sync = CheckpointSync(f"file://{tmp_path / 'there'}", tmp_path / "here")
    sync.clear()  # nothing there
    write(tmp_path / "there", best=b"1", epoch_00001=b"1")
    sync.clear()
    sync.download()
    assert names(tmp_path / "there") == [] and not (tmp_path / "here").exists()


def test_a_store_that_fails_is_said_once_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("in the way")
    write(tmp_path / "here", epoch_00001=b"1")
    with CheckpointSync(f"file://{tmp_path / 'store' / 'run'}", tmp_path / "here") as sync:
        until(lambda: sync._failing, 30)
        (tmp_path / "store").unlink()
    assert names(tmp_path / "store" / "run") == ["epoch_00001.pt"]
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1 and "Training continues." in said


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"YOLOX_CHECKPOINTS=pigeon://coop/run: cannot be used"):
        CheckpointSync("pigeon://coop/run", tmp_path)
    write(tmp_path / "there", epoch_00001=b"1")
    (tmp_path / "here").write_text("in the way")
    with pytest.raises(InputError, match=r"YOLOX_CHECKPOINTS: file://.*cannot be read"):
        CheckpointSync(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
