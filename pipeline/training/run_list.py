"""The runs under runs/: how far each came, what refers to it, and how much room it takes; and their removal.

A sweep lies there as well. How far it came says the caller's `sweep_progress`, since sweeps stand above trainings.
"""

import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.config import paths
from pipeline.config.settings import load_settings
from pipeline.training import precision
from pipeline.training.driver import plan
from pipeline.training.run_lock import is_locked, lock_if_free
from yolox_core.errors import InputError
from yolox_core.training import checkpoint

RUN_NAME = re.compile(r".+-[0-9a-f]{10}")  # training/driver.py names them; anything else under runs/ is somebody else's
FRESH_S = 24 * 3600.0  # what was touched since may be about to be trained, or released


SweepProgress = Callable[[Path], str]  # a sweep's folder of trials -> "2/3 trials"


@dataclass(frozen=True)
class Run:
    """One folder under runs/."""

    name: str
    size_bytes: int
    state: str  # complete, interrupted, running, damaged, empty or sweep
    epochs: str  # done/planned
    mlflow_run: str | None
    kept_for: str | None  # what refers to it; None: nothing does


def list_runs(sweep_progress: SweepProgress) -> list[Run]:
    """All runs, by name."""
    if not paths.RUNS.is_dir():
        return []
    needed = _needed()
    folders = [path for path in sorted(paths.RUNS.iterdir()) if path.is_dir() and not path.is_symlink()]
    return [_run(folder, needed, sweep_progress) for folder in folders if RUN_NAME.fullmatch(folder.name)]


def remove(run: Run) -> bool:
    """Remove a run's folder; False, and it stays, where it is needed by now."""
    folder = paths.RUNS / run.name
    with lock_if_free(folder) as free:
        if not free or run.name in _needed():
            return False
        folder.rename(trash := folder.with_name(f".{run.name}"))
    shutil.rmtree(trash)
    return True


def _run(folder: Path, needed: dict[str, str], sweep_progress: SweepProgress) -> Run:
    state, epochs = _progress(folder, sweep_progress)
    reasons = {
        "running": "running",
        "interrupted": "can resume",
        "damaged": "look at it, then remove it by hand",
        "sweep": "trials of a sweep: remove it by hand",
    }
    kept_for = reasons.get(state) or needed.get(folder.name)
    if kept_for is None and time.time() - max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < FRESH_S:
        kept_for = "of today"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Run(folder.name, size, state, epochs, _read(folder / "mlflow_run.json").get("run_id"), kept_for)


def _progress(folder: Path, sweep_progress: SweepProgress) -> tuple[str, str]:
    if (folder / "trials").is_dir():
        return ("running" if is_locked(folder) else "sweep"), sweep_progress(folder / "trials")
    progress = checkpoint.progress(folder / "checkpoints")
    shown = f"{progress.epoch}/{progress.epochs}" if progress else "0 epochs"
    if is_locked(folder):
        return "running", shown
    if progress is None:
        return ("damaged" if any(folder.glob("checkpoints/*.pt")) else "empty"), shown
    return ("complete" if progress.complete else "interrupted"), shown


def _needed() -> dict[str, str]:
    """Runs that something refers to, by name: the released one, and the one that params.yaml asks for."""
    needed = {}
    with suppress(InputError):  # nothing is prepared: the next run is a new one
        needed[Path(plan(load_settings(), ComputeConfig(), precision.of_begun).run).name] = "of params.yaml"
    needed[str(_read(paths.TRAINING).get("run"))] = "released"
    return needed


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as damaged:
        raise InputError(f"{path}: not JSON ({damaged}). Remove it; it is written again.") from damaged
    return content
