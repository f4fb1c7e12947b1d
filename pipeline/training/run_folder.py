"""The files of one training run, in runs/<name>-<identity>: an interrupted run is found again by its name."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolox_core.atomic_files import write_text


def write_history(run: Path, rows: Sequence[dict[str, Any]]) -> None:
    """history.jsonl: one line an epoch, whole or not at all; without times, so a repeated run writes the same bytes."""
    write_text(run / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def read_history(run: Path) -> list[dict[str, Any]]:
    """The rows of history.jsonl; none where there is no such file."""
    path = run / "history.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def add_timing(run: Path, epoch: int, timing: dict[str, float]) -> None:
    """timing.jsonl: how long each epoch took; lines of repeated epochs are kept."""
    with (run / "timing.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": epoch, **{name: round(value, 3) for name, value in timing.items()}}) + "\n")


def train_seconds(run: Path) -> float:
    """Seconds of training over all epochs, evaluation not counted; a repeated epoch counts once."""
    path = run / "timing.jsonl"
    # a driver that was killed may have left no line, or half of one
    lines = (
        [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")] if path.exists() else []
    )
    return float(sum({row["epoch"]: row["train_s"] for row in map(json.loads, lines)}.values()))
