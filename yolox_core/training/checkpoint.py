"""A training run's checkpoints as files: which there are, which is whole, and how far the run is.

checkpoint_saver.py writes them. PyTorch is imported only where one is read: progress.json says how far a run is to
those who need no tensors.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolox_core.errors import InputError

MARK = "yolox_pipeline_checkpoint"  # key that tells our checkpoints, with the format's version
FORMAT_VERSION = 1
NAME = re.compile(r"epoch_\d{5}(_step_\d{6})?\.pt")  # their order by name is their order in time
BEST = "best.pt"
TENSORS = ("model", "ema", "optimizer")  # entries that hold them
PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far a run is, by one of its checkpoints."""

    checkpoint: str  # name of its file
    epoch: int  # epochs done
    epochs: int  # of the whole run; patience may have made them fewer
    step: int  # optimizer steps done
    step_in_epoch: int
    closing_start: int
    best_epoch: int | None  # None: nothing was measured, or nothing found
    complete: bool

    @classmethod
    def of(cls, path: Path, content: Mapping[str, Any]) -> "Progress":
        """What the checkpoint at `path` says."""
        names = ("epoch", "step", "step_in_epoch", "closing_start", "best_epoch")
        said = {name: content["progress"][name] for name in names}
        epochs = said["closing_start"] + content["recipe"]["train"]["closing_epochs"]
        return cls(path.name, epochs=epochs, complete=said["epoch"] >= epochs, **said)


def progress(folder: Path) -> Progress | None:
    """How far the run is whose checkpoints lie in `folder`; None where none can be read.

    progress.json says so where it speaks of the newest checkpoint and that is whole. Where it does not (a process was
    killed between the two, a file is damaged, the run is older than progress.json) the checkpoint decides.
    """
    try:
        written = Progress(**json.loads((folder / PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        written = None
    path = next(iter(in_order(folder)), None)
    if written and path and written.checkpoint == path.name and _is_whole(path):
        return written
    found = newest(folder)
    return Progress.of(found.path, found.content) if found.path and found.content else None


def _is_whole(path: Path) -> bool:
    """Whether its bytes are those that were written: torch's files are ZIP archives, which hold checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


@dataclass(frozen=True)
class Newest:
    """The newest checkpoint that can be read, and a line for each damaged one that was passed over."""

    path: Path | None
    content: dict[str, Any] | None
    passed_over: tuple[str, ...] = ()


def newest(folder: Path) -> Newest:
    """Look in `folder`, which need not exist."""
    passed: list[str] = []
    for path in in_order(folder):
        try:
            return Newest(path, read(path), tuple(passed))
        except InputError as damaged:
            passed.append(f"{damaged} The one before is used.")
    return Newest(None, None, tuple(passed))


def read(path: Path) -> dict[str, Any]:
    """One checkpoint's content; InputError where it is damaged, none of ours, or holds weights that are no numbers."""
    from yolox_core.model.weights import read_plain, require_finite

    content = read_plain(path)
    if content.get(MARK) != FORMAT_VERSION:
        raise InputError(f"{path}: expected a checkpoint of format {FORMAT_VERSION}, got {content.get(MARK)!r}.")
    require_finite({name: content.get(name) for name in TENSORS}, str(path))
    return content


def in_order(folder: Path) -> list[Path]:
    """Checkpoints of epochs, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)
