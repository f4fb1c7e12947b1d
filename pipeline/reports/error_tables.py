"""Confidence threshold, confusion matrix and error analysis as tables for the page, from what `evaluate` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.reports.plots import Series

Row = Mapping[str, str]  # of a CSV file

MOST_CLASSES = 20  # a wider confusion matrix cannot be read
FIGURES = ("precision", "recall", "f1")
BACKGROUND = "(background)"  # as in reports/confusion.csv
CAUSES = {
    "missed": "an object without a matching detection",
    "background": "a detection where there is no object (IoU below 0.1)",
    "wrong_class": "an object detected as another class",
    "poor_box": "the right class, but an IoU from 0.1 to 0.5",
    "both": "another class, and an IoU from 0.1 to 0.5",
    "duplicate": "a second detection of an object",
}


@dataclass(frozen=True)
class Cell:
    """One number of the confusion matrix."""

    count: int
    percent: int  # of its row, for the shading
    right: bool


@dataclass(frozen=True)
class Confusion:
    """The matrix as it stands on the page: rows are the truth, columns what was found."""

    found: list[str]
    rows: list[tuple[str, list[Cell]]]
    left_out: int  # classes with fewer objects than those shown


def threshold_series(rows: Sequence[Row]) -> Series:
    """Precision, recall and F1 of all classes together, over the score."""
    return {name: _column(rows, name) for name in FIGURES}


def f1_series(rows: Sequence[Row]) -> Series:
    """F1 over the score, a line a class."""
    return {name: _column(rows, f"class/{name}/f1") for name in _classes(rows)}


def threshold_table(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """(all classes or one, [score of its largest F1, precision, recall, F1 there])."""
    prefixes = {"all classes": "", **{name: f"class/{name}/" for name in _classes(rows)}}
    return [(name, _at_best(rows, prefix)) for name, prefix in prefixes.items()]


def confusion_table(rows: Sequence[Row], most: int = MOST_CLASSES) -> Confusion:
    """The classes with most objects, in the order of the file, and the background last."""
    counts = {(row["truth"], row["found"]): int(row["count"]) for row in rows}
    names = list(dict.fromkeys(name for pair in counts for name in pair if name != BACKGROUND))
    objects = {name: sum(count for (truth, _), count in counts.items() if truth == name) for name in names}
    kept = set(sorted(names, key=lambda name: -objects[name])[:most])
    shown = [*(name for name in names if name in kept), BACKGROUND]
    table = []
    for truth in shown:
        whole = sum(counts.get((truth, found), 0) for found in [*names, BACKGROUND]) or 1
        cells = [
            Cell(count, round(100 * count / whole), truth == found)
            for found in shown
            for count in [counts.get((truth, found), 0)]
        ]
        table.append(cells)
    plain = [name.strip("()") if name == BACKGROUND else name for name in shown]
    return Confusion(plain, list(zip(plain, table, strict=True)), len(names) - len(kept))


def cause_table(errors: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, int, float]]:
    """(cause, what it means, how many, what it costs in map_50), the dearest first."""
    counts, costs = errors["count"], errors["cost_map_50"]
    rows = [(cause.replace("_", " "), about, int(counts[cause]), costs[cause]) for cause, about in CAUSES.items()]
    return sorted(rows, key=lambda row: -row[3])


def _classes(rows: Sequence[Row]) -> list[str]:
    columns = rows[0] if rows else ()
    return [
        name.removeprefix("class/").removesuffix("/f1")
        for name in columns
        if name.startswith("class/") and name.endswith("/f1")
    ]


def _column(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    return [(float(row["threshold"]), float(row[name])) for row in rows if row[name]]


def _at_best(rows: Sequence[Row], prefix: str) -> list[str]:
    """By the rule of yolox_core/evaluation/pr_curve.py: of equal ones the middle; none where nothing is right."""
    highest = max(float(row[f"{prefix}f1"]) for row in rows)
    best = [row for row in rows if float(row[f"{prefix}f1"]) == highest]
    at = best[len(best) // 2]
    values = [at["threshold"] if highest else "", *(at[f"{prefix}{name}"] for name in FIGURES)]
    return [f"{float(value):.{2 if column == 0 else 3}f}" if value else "–" for column, value in enumerate(values)]
