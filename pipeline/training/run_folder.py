"""The folder of one training run: runs/<name>-<hash>, whose name is the run's identity.

The hash covers configuration, data, initial weights and the detector's code: an interrupted run is found again, and
anything that changes what would be computed gets a folder of its own.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.settings import Settings
from yolox_core.atomic_files import write_text

HASH_LENGTH = 10
CORE = Path(__file__).parents[2] / "yolox_core"


def run_folder(settings: Settings, recipe: dict[str, Any], data_digest: str, weights_digest: str | None) -> Path:
    """The absolute folder of the run that these would be."""
    identity = {"recipe": recipe, "data": data_digest, "weights": weights_digest, "code": code_digest()}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]
    return (paths.RUNS / f"{settings.data_name}-{digest}").resolve()


def code_digest() -> str:
    """sha256 of the detector's source files."""
    digest = hashlib.sha256()
    for path in sorted(CORE.rglob("*.py")):
        digest.update(path.relative_to(CORE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def write_history(run: Path, rows: Sequence[dict[str, Any]]) -> None:
    """history.jsonl: one line an epoch, whole or not at all; without times, so a repeated run writes the same bytes."""
    write_text(run / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


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
