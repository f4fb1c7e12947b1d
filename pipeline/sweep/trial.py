"""A trial: what it is called, the folder that it lives in, and what stands there.

runs/sweep-<data>-<hash>/trials/<key>/ holds the engine's checkpoints, history.jsonl and trial.json, and is all that the
tables are made of: a sweep that was killed goes on from there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yolox_core.atomic_files import write_json, write_text
from yolox_core.evaluation.detection_limit import deciding

State = Literal["running", "finished", "pruned", "failed", "lost"]
ENDED: tuple[State, ...] = ("finished", "pruned", "failed")  # lost: its process died; it is begun again the next time
HISTORY = "history.jsonl"
RESULTS = Path("reports/sweep")  # trials.csv, best.yaml, pictures, report.html


def trial_key(values: Mapping[str, Any]) -> str:
    """The trial's name: its values, readably, and a hash that tells all apart."""
    text = json.dumps(values, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    shown = "-".join(f"{name.rpartition('.')[2]}={_short(values[name])}" for name in sorted(values))
    plain = "".join(letter if letter.isalnum() or letter in "=.-_" else "_" for letter in shown)
    return f"{plain[:80]}-{digest}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Trial:
    """What is known of one trial."""

    key: str
    values: Mapping[str, Any]
    state: State
    rows: Sequence[Mapping[str, Any]]  # one an epoch
    error: str | None = None
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """How many it was trained for."""
        return len(self.rows)

    @property
    def map(self) -> float:
        """At its last epoch; a detector that finds nothing has none."""
        return (deciding(self.rows[-1]) or 0.0) if self.rows else 0.0


def read_trial(folder: Path) -> Trial | None:
    """The trial in this folder; None where none has begun there."""
    path = folder / "trial.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    lines = (folder / HISTORY).read_text(encoding="utf-8").splitlines() if (folder / HISTORY).is_file() else []
    return Trial(told["key"], told["values"], told["state"], [*map(json.loads, lines)], told["error"], told["seconds"])


def write_trial(folder: Path, trial: Trial) -> None:
    """Its state, whole or not at all. Rows are written by `write_rows`."""
    described = {"key": trial.key, "values": dict(trial.values), "state": trial.state}
    write_json(folder / "trial.json", {**described, "error": trial.error, "seconds": round(trial.seconds, 1)})


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """All epochs so far."""
    write_text(folder / HISTORY, "".join(json.dumps(dict(row)) + "\n" for row in rows))


def read_trials(folder: Path) -> list[Trial]:
    """All trials below, ordered by their values."""
    found = [trial for path in folder.glob("*/trial.json") if (trial := read_trial(path.parent))]
    return sorted(found, key=lambda trial: [in_order(value) for value in trial.values.values()])


def in_order(value: Any) -> tuple[str, float, str]:
    """What values of one parameter are sorted by: numbers as numbers."""
    number = isinstance(value, (int, float))
    return "number" if number else "text", float(value) if number else 0.0, str(value)
