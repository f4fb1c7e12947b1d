"""A study's tables, in Markdown, from its rows.

python -m pipeline.study.tables pipeline/study/tiny_vs_small.yaml docs/studies/tiny_vs_small.jsonl --data raccoon
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline.entry import refusals
from pipeline.study.analysis import Effect, difference, main_effects, table
from pipeline.study.design import LEVELS, Level, Study, read_study

Rows = Sequence[Mapping[str, Any]]


def letters(cell: Mapping[str, Level]) -> str:
    """A cell in short: l or h for each factor, in the study's order."""
    return "".join(level[0] for level in cell.values())


def cells_table(study: Study, rows: Rows, data: str) -> Iterator[str]:
    """Every cell's figure, mean and seed by seed."""
    given = table(study, rows, data)
    yield f"| cell | {study.metric} | seeds |"
    yield "|---|---|---|"
    for cell, column in zip(given.cells, given.figures.T, strict=True):
        yield f"| {letters(cell)} | {column.mean():.3f} | {', '.join(f'{figure:.3f}' for figure in column)} |"


def sizes_table(study: Study, rows: Rows, data: str) -> Iterator[str]:
    """Every cell's figure on the training images, its positives an object, and its figure at other test sizes."""
    given = table(study, rows, data)
    of_cell = {
        letters(cell): [row for row in rows if row["seed"] in given.seeds and row["cell"] == cell]
        for cell in given.cells
    }
    sizes = list(rows[0]["figures"]["held_out_by_size"])
    yield f"| cell | training | positives | {' | '.join(sizes)} px |"
    yield "|---" * (3 + len(sizes)) + "|"
    for name, own in of_cell.items():
        training = mean(row["figures"]["training"].get(study.metric, 0.0) for row in own)
        positives = mean(row["health"]["assign/positives_per_object"] for row in own)
        at = [mean(row["figures"]["held_out_by_size"][size].get(study.metric, 0.0) for row in own) for size in sizes]
        yield f"| {name} | {training:.3f} | {positives:.1f} | {' | '.join(f'{figure:.2f}' for figure in at)} |"


def effects_table(study: Study, rows: Rows, data: str) -> Iterator[str]:
    """What each factor changes, and the difference of all high from all low, where both were run."""
    given = table(study, rows, data)
    low, high = ({name: level for name in study.factors} for level in LEVELS)
    effects = main_effects(study, given)
    if low in given.cells and high in given.cells:
        effects.append(difference(given, low, high, "all high less all low"))
    yield "| effect | change | from | to | p | |"
    yield "|---|---|---|---|---|---|"
    yield from map(_line, effects)


def _line(effect: Effect) -> str:
    figures = f"{effect.change:+.3f} | {effect.low:+.3f} | {effect.high:+.3f} | {effect.p:.3f}"
    return f"| {effect.name} | {figures} | {'shown' if effect.shown else 'not shown'} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.study.tables", description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--data", required=True)
    told = parser.parse_args()
    with refusals():
        study = read_study(told.study)
        lines = told.rows.read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row.get("data") == told.data]
        for part in (cells_table, sizes_table, effects_table):
            print("\n".join(part(study, rows, told.data)), end="\n\n")


if __name__ == "__main__":
    main()
