"""`yolox runs`: what lies under runs/, how far it came, what refers to it, and how much room it takes."""

import fcntl
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from yolox_core.config import Recipe
from yolox_core.errors import InputError
from yolox_core.train import checkpoint


@dataclass(frozen=True)
class Run:
    """One folder under runs/."""

    name: str
    size_bytes: int
    state: str  # complete, interrupted, running, damaged or empty
    epochs: str  # done/planned
    mlflow_run: str | None
    kept_for: str | None  # what refers to it; None: nothing does


def runs(clean: bool, yes: bool) -> None:
    """Print a line for each run; with `clean` remove those that nothing refers to, after asking."""
    found = look()
    for run in found:
        mlflow = f"  MLflow {run.mlflow_run[:8]}" if run.mlflow_run else ""
        kept = f"  {run.kept_for}" if run.kept_for else ""
        print(f"{run.name}  {run.state} {run.epochs}  {run.size_bytes / 2**20:.0f} MiB{mlflow}{kept}")
    spare = [run for run in found if run.kept_for is None]
    room = sum(run.size_bytes for run in spare) / 2**20
    print(f"{len(found)} runs, {len(spare)} that nothing refers to ({room:.0f} MiB)")
    if not clean or not spare:
        return
    if not yes and input(f"remove {', '.join(run.name for run in spare)}? [y/N] ").strip().lower() != "y":
        return
    for run in spare:
        shutil.rmtree(paths.RUNS / run.name)
        print(f"removed {run.name}")


def look() -> list[Run]:
    """All runs, by name."""
    released = _released()
    if not paths.RUNS.is_dir():
        return []
    return [_run(folder, released) for folder in sorted(paths.RUNS.iterdir()) if folder.is_dir()]


def _run(folder: Path, released: set[str]) -> Run:
    state, epochs = _progress(folder)
    kept_for = "running" if state == "running" else "released" if folder.name in released else None
    if kept_for is None and state == "interrupted":
        kept_for = "can go on"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Run(folder.name, size, state, epochs, _read(folder / "mlflow_run.json").get("run_id"), kept_for)


def _progress(folder: Path) -> tuple[str, str]:
    content = checkpoint.newest(folder / "checkpoints").content
    done = planned = 0
    if content is not None:
        progress = content["progress"]
        done = progress["epoch"]
        planned = progress["closing_start"] + Recipe.from_dict(content["recipe"]).train.closing_epochs
    shown = f"{done}/{planned}" if content else "0 epochs"
    if _is_locked(folder / "lock"):
        return "running", shown
    if content is None:
        return ("damaged" if any(folder.glob("checkpoints/*.pt")) else "empty"), shown
    return ("complete" if done >= planned else "interrupted"), shown


def _is_locked(lock: Path) -> bool:
    if not lock.is_file():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _released() -> set[str]:
    """The run whose model is in models/trained."""
    return {str(_read(paths.TRAINING).get("run"))}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as damaged:
        raise InputError(f"{path}: not JSON ({damaged}). Remove it; it is written again.") from damaged
    return content
