"""A study's tables, in Markdown, from its rows."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from pipeline.study.analysis import Effect, difference, main_effects, table
from pipeline.study.design import LEVELS, Study, letters
from yolox_core.evaluation.detection_limit import deciding

Rows = Sequence[Mapping[str, Any]]


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
        training = mean(deciding(row["figures"]["training"], study.metric) or 0.0 for row in own)
        positives = mean(row["health"]["assign/positives_per_object"] for row in own)
        at = [
            mean(deciding(row["figures"]["held_out_by_size"][size], study.metric) or 0.0 for row in own)
            for size in sizes
        ]
        yield f"| {name} | {training:.3f} | {positives:.1f} | {' | '.join(f'{figure:.2f}' for figure in at)} |"


def effects_table(study: Study, rows: Rows, data: str) -> Iterator[str]:
    """What each factor changes, and the difference of all high from all low, where both were run."""
    yield "| effect | change | from | to | bootstrap from | to | p | |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from map(_line, effects(study, rows, data))


def effects(study: Study, rows: Rows, data: str) -> list[Effect]:
    """Those of the table: factors, interactions that can be told apart, all high less all low of a fraction."""
    given = table(study, rows, data)
    low, high = ({name: level for name in study.factors} for level in LEVELS)
    found = main_effects(study, given)
    if study.generators and low in given.cells and high in given.cells:
        found.append(difference(given, low, high, "all high less all low"))
    return found


def _line(effect: Effect) -> str:
    ends = (effect.low, effect.high, effect.bootstrap_low, effect.bootstrap_high)
    figures = " | ".join(f"{figure:+.3f}" for figure in (effect.change, *ends))
    return f"| {effect.name} | {figures} | {effect.p:.3f} | {verdict(effect)} |"


def verdict(effect: Effect) -> str:
    """What may be said."""
    return "shown" if effect.shown else "not shown"
