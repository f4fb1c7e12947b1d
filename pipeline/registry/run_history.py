"""A training run's epochs as MLflow metrics, read from what the run itself keeps on disk.

`runs/<run>/history.jsonl` and `timing.jsonl` are the truth; MLflow gets a copy, so an epoch that could not be sent
is never lost. Names follow DESIGN.md; characters that MLflow refuses become underscores.
"""

import csv
import json
import posixpath
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = Mapping[str, Any]  # one epoch: {"epoch": 0, "loss": .., ...}
MARKER = "loss"  # in every row; sent last, so that an epoch with this metric is complete in the store
BATCH = 900  # metrics of one request; MLflow takes 1000
_NOT_METRICS = ("epoch", "step")
_REFUSED = re.compile(r"[^\w\-. :/]")  # mlflow/utils/validation.py


def read_rows(run_dir: Path, fallback_csv: Path | None = None) -> list[dict[str, Any]]:
    """All finished epochs in order, timing included; from `fallback_csv` where the run's folder is gone."""
    rows = {int(row["epoch"]): row for row in _json_lines(run_dir / "history.jsonl")}
    if not rows and fallback_csv is not None and fallback_csv.is_file():
        with fallback_csv.open(newline="", encoding="utf-8") as file:
            entries = [{name: float(text) for name, text in line.items() if text} for line in csv.DictReader(file)]
        rows = {int(row["epoch"]): row for row in entries}
    for timing in _json_lines(run_dir / "timing.jsonl"):
        if int(timing["epoch"]) in rows:
            rows[int(timing["epoch"])] |= timed(timing)
    return [rows[epoch] for epoch in sorted(rows)]


def timed(timing: Row) -> dict[str, Any]:
    """An epoch's timing under the names it has in MLflow."""
    return {f"time/{name}": value for name, value in timing.items() if name != "epoch"}


def metric_name(name: str) -> str:
    """`name` as MLflow accepts it: no foreign characters, no empty path parts, at most 250 characters."""
    return posixpath.normpath(_REFUSED.sub("_", name)).lstrip("/.")[:250] or "_"


def metrics_of(row: Row) -> dict[str, float]:
    """The numbers of a row under legal names, the marker last."""
    numbers = {
        metric_name(name): float(value)
        for name, value in row.items()
        if name not in _NOT_METRICS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    if MARKER in numbers:
        numbers[MARKER] = numbers.pop(MARKER)
    return numbers


def send_rows(client: "MlflowClient", run_id: str, rows: Iterable[Row], first_epoch: int) -> int:
    """Send every row from `first_epoch` on, oldest first; returns the next epoch to send. Raises what MLflow raises."""
    for row in sorted(rows, key=lambda row: int(row["epoch"])):
        epoch = int(row["epoch"])
        if epoch >= first_epoch:
            send_metrics(client, run_id, metrics_of(row), step=epoch)
            first_epoch = epoch + 1
    return first_epoch


def send_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float], step: int) -> None:
    """Log numbers in as few requests as MLflow allows. Each request is stored whole or not at all."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    entries = [Metric(name, value, now_ms, step) for name, value in metrics.items()]
    for start in range(0, len(entries), BATCH):
        client.log_batch(run_id, metrics=entries[start : start + BATCH])


def next_epoch(client: "MlflowClient", run_id: str) -> int:
    """The first epoch that the store does not have: it knows better than we do after a crash or a lost answer."""
    sent = client.get_metric_history(run_id, MARKER)
    return max((metric.step for metric in sent), default=-1) + 1


def _json_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that a crash cut short; the epoch is trained again
    return rows
