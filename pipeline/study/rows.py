"""A study's rows: one line of JSON a run that ended (`runs.jsonl`), and the same figures as a table (`runs.csv`).

A row belongs to its run by key, parameters and data; one made of other parameters or other images is refused, never
mixed in. The table has a column a number (`figures.held_out.map`), the digest of the row's line and its MLflow run; the
losses by epoch are in the lines alone.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.digests import value_sha256
from pipeline.config.flattening import flattened
from pipeline.reports.csv_text import csv_of_rows
from pipeline.study.design import Run, Study
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError

Row = Mapping[str, Any]
TEXTS = ("key", "data", "cell", "params", "choice", "data_digest", "code", "device", "torch", "row", "mlflow_run")
DEPTH = {"figures": 2, "figures.held_out_by_size": 3}  # dots that part a column's name; later ones belong to the name
ROW_DIGEST, MLFLOW_RUN = "row", "mlflow_run"


@dataclass(frozen=True)
class Standing:
    """How far a study is."""

    done: tuple[Row, ...]  # in the order of the plan
    missing: tuple[Run, ...]

    def seconds_left(self, at_once: int, device: str) -> float | None:
        """Of the runs to do, by those done on such a device: of the same data and cell, else of the data, else of any.

        None where no run was done there yet.
        """
        kind = device.partition(":")[0] == "cpu"
        known = [row for row in self.done if (row["device"] == "cpu") == kind]
        if not known:
            return None
        return sum(_seconds(run, known) for run in self.missing) / at_once

    @property
    def codes(self) -> int:
        """How many versions of the detector's code made the rows; rows that do not say count as one."""
        return len({row.get("code") for row in self.done})


def _seconds(run: Run, known: Sequence[Row]) -> float:
    same_data = [row for row in known if row["data"] == run.data]
    same_cell = [row for row in same_data if row["cell"] == run.cell]
    nearest = same_cell or same_data or known
    return sum(float(row["whole_s"]) for row in nearest) / len(nearest)


def standing(study: Study, path: Path, data_digests: Mapping[str, Sequence[str]] | None = None) -> Standing:
    """What the rows in `path` hold of the plan. InputError on rows of other parameters or, where told, other data.

    `data_digests`: of each data set the names that its rows may carry, today's first.
    """
    rows = {row["key"]: row for row in read_rows(path)}
    done, missing = [], []
    for run in study.plan():
        row = rows.get(run.key)
        if row is None:
            missing.append(run)
            continue
        if row["params"] != run.digest:
            raise InputError(
                f"{path}: {run.key}: expected a row of the study's parameters, got one of others. "
                "Name another file of rows, or undo the change of the study."
            )
        choice = study.choice_digest(run.data)
        if row.get("choice", choice) != choice:
            raise InputError(
                f"{path}: {run.key}: expected a row of the study's choice of images and test sizes, got another. "
                "Name another file of rows, or undo the change of the study."
            )
        digests = (data_digests or {}).get(run.data, ())
        if digests and row.get("data_digest", digests[0]) not in digests:
            raise InputError(
                f"{path}: {run.key}: expected a row of the same images, got data {row['data_digest']}, "
                f"not {digests[0]}. Name another file of rows, or the folder that was used."
            )
        done.append(row)
    return Standing(tuple(done), tuple(missing))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the runs that have been done, from a .jsonl or a .csv; none where there is no such file."""
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        rows = _table_rows(text) if path.suffix == ".csv" else _lines(text)
        return [row for row in rows if "error" not in row and row["key"]]
    except (UnicodeDecodeError, LookupError, ValueError, TypeError) as foreign:
        raise InputError(
            f"{path}: expected a study's rows, got something else ({foreign!r}). Name another."
        ) from foreign


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):  # half a line: the machine went away
            yield json.loads(line)


def append(path: Path, row: Row) -> None:
    """One more line. A half line that a crash has left stays a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0, 2)
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(row).encode() + b"\n")


def digest(row: Row) -> str:
    """What tells a row from every other: the sha256 of all that it says."""
    return value_sha256(row)[:16]


def write_table(path: Path, rows: Iterable[Row], mlflow_runs: Mapping[str, str]) -> None:
    """runs.csv: a line a row without its lists (losses by epoch); `mlflow_runs`: ids of runs by digests of rows."""
    flat = []
    for row in rows:
        single = {name: value for name, value in flattened(row) if not isinstance(value, (list, Mapping))}
        flat.append({**single, ROW_DIGEST: digest(row), MLFLOW_RUN: mlflow_runs.get(digest(row), "")})
    write_text(path, csv_of_rows(flat))


def _table_rows(text: str) -> Iterator[dict[str, Any]]:
    for line in csv.DictReader(io.StringIO(text)):
        row: dict[str, Any] = {}
        for column, value in line.items():
            if value:
                *parents, name = _path(column)
                place = row
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[name] = value if column.partition(".")[0] in TEXTS else json.loads(value)
        yield row


def _path(column: str) -> list[str]:
    depth = max((dots for start, dots in DEPTH.items() if column.startswith(f"{start}.")), default=1)
    return column.split(".", depth)
