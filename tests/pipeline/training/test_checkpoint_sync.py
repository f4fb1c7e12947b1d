"""A run's checkpoints in a store: they arrive whole, and come back on a node that has none."""

from pathlib import Path

import pytest
import torch

from pipeline.cluster.store import Store
from pipeline.training.checkpoint_sync import FOLDER, CheckpointSync
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


def sync_of(address: str, folder: Path) -> CheckpointSync:
    return CheckpointSync(Store(address), folder)


def test_a_run_goes_on_where_nothing_of_it_is_left_but_the_address(tmp_path: Path) -> None:
    asked = 0

    def leave() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 7

    address = f"file://{tmp_path / 'store' / 'run'}"
    stored = tmp_path / "store" / "run" / FOLDER
    *_, left = train(small_job(tmp_path / "data", checkpoints=tmp_path / "first", leave=leave))
    assert isinstance(left, Left)
    first = sync_of(address, tmp_path / "first")
    assert not first.is_begun()
    first.send()
    assert first.is_begun()
    assert names(stored) == names(tmp_path / "first")
    sync = sync_of(address, tmp_path / "second")
    sync.download()
    *_, resumed = train(small_job(tmp_path / "data", checkpoints=tmp_path / "second"))
    sync.send()
    *_, undisturbed = train(small_job(tmp_path / "data", checkpoints=tmp_path / "third"))
    assert isinstance(resumed, EpochReport) and isinstance(undisturbed, EpochReport)
    assert resumed.history == undisturbed.history
    there, own = (checkpoint.read(place / "epoch_00004.pt") for place in (stored, tmp_path / "third"))
    assert all(torch.equal(there["model"][name], tensor) for name, tensor in own["model"].items())
    assert names(stored) == names(tmp_path / "third")  # the newest two, and the best


def test_what_is_changed_is_sent_again_and_what_is_gone_goes(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there" / FOLDER
    write(here, best=b"1", epoch_00001=b"1")
    sync = sync_of(f"file://{there.parent}", here)
    sync.send()
    assert names(there) == ["best.pt", "epoch_00001.pt"]
    write(here, best=b"22", epoch_00002=b"2")
    (here / "epoch_00001.pt").unlink()
    sync.send()
    assert names(there) == ["best.pt", "epoch_00002.pt"]
    assert (there / "best.pt").read_bytes() == b"22"


def test_an_older_address_does_not_touch_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "here", best=b"own", epoch_00003=b"own")
    write(tmp_path / "there" / FOLDER, best=b"old", epoch_00002=b"old", epoch_00002_step_000005=b"old")
    sync_of(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
    assert names(tmp_path / "here") == ["best.pt", "epoch_00003.pt"]
    assert (tmp_path / "here" / "best.pt").read_bytes() == b"own"


@pytest.mark.parametrize("place", [FOLDER, "."])  # the second: where the release before kept them
def test_a_newer_address_brings_its_best_as_well(tmp_path: Path, place: str) -> None:
    write(tmp_path / "here", best=b"own", epoch_00002=b"own")
    there = tmp_path / "there" / place
    write(there, best=b"new", epoch_00002_step_000005=b"new")
    (there / "epoch_00003.pt.part").write_bytes(b"half")  # whoever sent it was killed
    sync_of(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
    assert names(tmp_path / "here") == ["best.pt", "epoch_00002.pt", "epoch_00002_step_000005.pt"]
    assert (tmp_path / "here" / "best.pt").read_bytes() == b"new"


def test_a_fresh_start_clears_the_address(tmp_path: Path) -> None:
    sync = sync_of(f"file://{tmp_path / 'there'}", tmp_path / "here")
    sync.clear()  # nothing there
    write(tmp_path / "there" / FOLDER, best=b"1", epoch_00001=b"1")
    write(tmp_path / "there", best=b"1", epoch_00001=b"1")
    sync.clear()
    sync.download()
    assert not [path for path in (tmp_path / "there").rglob("*.pt")] and not (tmp_path / "here").exists()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "there" / FOLDER, epoch_00001=b"1")
    (tmp_path / "here").write_text("in the way")
    with pytest.raises(InputError, match=r"YOLOX_STORE=file://.*, on .*: cannot be read"):
        sync_of(f"file://{tmp_path / 'there'}", tmp_path / "here").download()
