"""Save and restore a training run, so that an interrupted one ends with the same bits as an undisturbed one.

One file an epoch, and those that are saved within one, of plain containers and tensors (loadable with
weights_only=True), written beside and renamed, so that a file under its final name is whole. The newest two and the
best are kept. Training goes on while a file is written: what it changes meanwhile was copied first. A small file
beside them records how far the run is (checkpoint.py, which also reads them).
"""

import errno
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yolox_core.atomic_files import new_file, write_json
from yolox_core.collectives import World
from yolox_core.config import DetectorSpec, Recipe
from yolox_core.errors import InputError
from yolox_core.training.checkpoint import BEST, FORMAT_VERSION, MARK, PROGRESS, Progress, in_order
from yolox_core.training.state import TrainingState

KEPT = 2
Statistics = dict[str, dict[str, Tensor]]  # of one worker: model or ema, buffer, tensor
# of the state: all that is no tensor but the history
NUMBERS = ("epoch", "step", "step_in_epoch", "epoch_totals", "closing_start", "best_map", "best_epoch", "stale")
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}  # what a user can mend


class Saver:
    """Writes checkpoints into `folder`, one at a time, in a thread of its own. Leaving the block waits for the last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._saved_s = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the last one was begun, or since the training began."""
        return time.monotonic() - self._saved_s

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.wait()
        except InputError as unsaved:
            if kind is None:
                raise
            print(f"{unsaved}", file=sys.stderr)  # beside what ended the training
        finally:
            self._thread.shutdown()

    def save(
        self,
        state: TrainingState,
        recipe: Recipe,
        spec: DetectorSpec,
        threads: int,
        is_best: bool,
        statistics: Sequence[Statistics] = (),
    ) -> Path:
        """Copy the state after `state.epoch` epochs, and as many steps more as it says, and begin to write it.

        `statistics` are all workers' batch-norm statistics, by rank, where they differ. Returns the path of the file.
        Waits for the one before, and raises what that raised.
        """
        self.wait()
        self._saved_s = time.monotonic()
        content = _copied(_content(state, recipe, spec, threads) | {"statistics": list(statistics)})
        within = f"_step_{state.step_in_epoch:06d}" if state.step_in_epoch else ""
        path = self._folder / f"epoch_{state.epoch:05d}{within}.pt"
        self._writing = self._thread.submit(_store, content, path, is_best)
        return path

    def check(self) -> None:
        """Raise what a write has raised, without waiting for it."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Until the last one is on disk. InputError where the disk has no room."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()


def _content(state: TrainingState, recipe: Recipe, spec: DetectorSpec, threads: int) -> dict[str, Any]:
    return {
        MARK: FORMAT_VERSION,
        "recipe": recipe.to_dict(),
        "spec": spec.to_dict(),
        "model": state.model.state_dict(),
        "ema": {"model": state.ema.model.state_dict(), "updates": state.ema.updates},
        "optimizer": state.optimizer.state_dict(),
        "progress": {name: getattr(state, name) for name in NUMBERS},
        "history": state.history,
        "rng": torch.get_rng_state(),
        "threads": threads,
    }


def _copied(value: Any) -> Any:
    """Tensors copied to the CPU, containers built anew."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def _store(content: dict[str, Any], path: Path, is_best: bool) -> None:
    """Write it, and drop what is older than the newest two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_best:  # first: a run that is killed between the two repeats the epoch and writes the same again
        _write(content, path.parent / BEST)
    _write(content, path)
    with _mendable(path.parent / PROGRESS):
        write_json(path.parent / PROGRESS, asdict(Progress.of(path, content)))
    for old in in_order(path.parent)[KEPT:]:
        old.unlink()


def statistics_of(state: TrainingState) -> Statistics:
    """This worker's batch-norm statistics, by name in the model and in its EMA.

    On the CPU, since they are sent to workers that may not have this one's device.
    """
    return {
        kind: {name: buffer.detach().cpu() for name, buffer in _floating_buffers(model)}
        for kind, model in _models(state).items()
    }


def restore(state: TrainingState, content: Mapping[str, Any], world: World) -> None:
    """Put a freshly made state where the checkpoint was; with as many workers as then, to the bit."""
    state.model.load_state_dict(content["model"])
    state.ema.model.load_state_dict(content["ema"]["model"])
    state.ema.updates = content["ema"]["updates"]
    _restore_statistics(state, content.get("statistics", []), world)
    state.optimizer.load_state_dict(content["optimizer"])
    for name, value in content["progress"].items():
        setattr(state, name, value)
    state.history = list(content["history"])
    torch.set_rng_state(content["rng"])


@torch.no_grad()
def _restore_statistics(state: TrainingState, by_rank: Sequence[Statistics], world: World) -> None:
    """Each worker its own; their mean where there were more or fewer workers. None: they were the same everywhere."""
    if not by_rank:
        return
    taken = [by_rank[world.rank]] if len(by_rank) == world.size else by_rank
    for kind, model in _models(state).items():
        for name, buffer in _floating_buffers(model):
            buffer.copy_(torch.stack([of_rank[kind][name] for of_rank in taken]).mean(dim=0))


def _models(state: TrainingState) -> dict[str, nn.Module]:
    return {"model": state.model, "ema": state.ema.model}


def _floating_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, buffer) for name, buffer in model.named_buffers() if buffer.is_floating_point())


def _write(content: dict[str, Any], path: Path) -> None:
    """What was there before stays as it was where this fails."""
    with _mendable(path), new_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _mendable(path: Path) -> Iterator[None]:
    """InputError where the disk has no room for `path`."""
    try:
        yield
    except (OSError, RuntimeError) as failed:
        # torch closes its archive after a failed write, and fails again: the system's word is beneath its own
        beneath = failed if isinstance(failed, OSError) else failed.__context__
        if not isinstance(beneath, OSError) or beneath.errno not in NO_ROOM:
            raise
        raise InputError(
            f"{path}: cannot be saved ({beneath.strerror}). Make room and run again: it resumes from the checkpoint "
            "before."
        ) from failed
