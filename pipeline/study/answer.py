"""A study's answer, written from its rows: tables (CSV), a page (Markdown), pictures (SVG).

The same rows give the same bytes. What the rows do not carry is called "not shown", with what can be ruled out.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.reports.csv_text import csv_text
from pipeline.reports.plots import Interval, as_file, intervals, paired
from pipeline.study.analysis import CONFIDENCE, Effect, Table, table
from pipeline.study.design import Study, letters
from pipeline.study.rows import Standing
from pipeline.study.tables import Rows, cells_table, effects, effects_table, sizes_table, verdict
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError

PAGE = "answer.md"
EFFECT_COLUMNS = ("data", "effect", "change", "low", "high", "bootstrap_low", "bootstrap_high", "p", "verdict", "alias")


def write_answer(study: Study, stands: Standing, folder: Path) -> Path:
    """Everything into `folder`; returns the page. InputError where no data set has two whole seeds."""
    parts = {name: [row for row in stands.done if row["data"] == name] for name in study.data}
    whole = {name: rows for name, rows in parts.items() if _whole_seeds(study, rows) >= 2}
    if not whole:
        raise InputError(f"{study.name}: expected at least two seeds with every cell, got fewer. Run more of it.")
    found = {name: effects(study, rows, name) for name, rows in whole.items()}
    tables = {name: table(study, rows, name) for name, rows in whole.items()}
    write_text(folder / "effects.csv", csv_text(EFFECT_COLUMNS, _effect_lines(found)))
    write_text(
        folder / "cells.csv", csv_text(("data", "cell", *study.factors, "seed", study.metric), _cell_lines(tables))
    )
    for name in whole:
        write_text(folder / f"{name}_effects.svg", as_file(_effects_picture(study, name, found[name])))
        write_text(folder / f"{name}_cells.svg", as_file(_cells_picture(study, name, tables[name])))
    write_text(folder / PAGE, "\n".join(_page(study, stands, whole, found)) + "\n")
    return folder / PAGE


def _whole_seeds(study: Study, rows: Rows) -> int:
    made = {(row["seed"], letters(row["cell"])) for row in rows}
    return sum(all((seed, letters(cell)) in made for cell in study.cells()) for seed in study.seeds)


def _page(
    study: Study, stands: Standing, whole: Mapping[str, Rows], found: Mapping[str, list[Effect]]
) -> Iterator[str]:
    yield f"# {study.question}"
    for name, rows in whole.items():
        yield f"\n## {name}\n"
        yield from (f"- {sentence(study, effect)}" for effect in found[name])
        yield f"\n![Effects with their intervals]({name}_effects.svg)\n"
        yield from effects_table(study, rows, name)
        yield f"\n![Cells by seed]({name}_cells.svg)\n"
        yield f"Cells by the levels, l or h, of {', '.join(study.factors)}; seeds {_seeds(study, rows)}.\n"
        yield from cells_table(study, rows, name)
        if study.test_sizes:
            yield "\nOn the images trained on, positives an object, and at other test sizes.\n"
            yield from sizes_table(study, rows, name)
    yield "\n## How this was made\n"
    yield from _origin(study, stands, whole)


def sentence(study: Study, effect: Effect) -> str:
    """What may be said of one effect."""
    also = f" Cannot be told from {' or '.join(effect.aliases)}." if effect.aliases else ""
    if effect.low == effect.high:
        return f"**{effect.name}: not shown.** {study.metric} did not differ at all; was anything learned?{also}"
    if effect.shown:
        return (
            f"**{effect.name}: shown.** {study.metric} changes by {effect.change:+.3f} "
            f"({CONFIDENCE:.0%} interval {effect.low:+.3f} to {effect.high:+.3f}, p {effect.p:.3f}).{also}"
        )
    return (
        f"**{effect.name}: not shown.** A change of {study.metric} below {effect.low:+.3f} or above "
        f"{effect.high:+.3f} is unlikely; one between is not excluded (p {effect.p:.3f}).{also}"
    )


def _seeds(study: Study, rows: Rows) -> str:
    used = [seed for seed in study.seeds if _whole_seeds(study, [row for row in rows if row["seed"] == seed])]
    return ", ".join(map(str, used))


def _origin(study: Study, stands: Standing, whole: Mapping[str, Rows]) -> Iterator[str]:
    planned = len(stands.done) + len(stands.missing)
    yield f"{len(stands.done)} of {planned} runs ended. Seeds without every cell are left out."
    for name in study.data:
        if name not in whole:
            yield f"{name}: fewer than two seeds have every cell; nothing is said of it."
    yield (
        f"Intervals of {CONFIDENCE:.0%} by Student's t over all cells, p by permutation within seeds, corrected for "
        "the number of effects (Holm): these give the verdict. The bootstrap draws seeds again: too narrow with few."
    )
    devices = sorted({f"{row['device']}, PyTorch {row['torch']}" for row in stands.done})
    seconds = sum(float(row["whole_s"]) for row in stands.done)
    yield f"On {'; '.join(devices)}; {seconds / 60:.0f} minutes of runs."
    if stands.codes > 1:
        yield f"The rows were made by {stands.codes} versions of the detector's code."


def _effects_picture(study: Study, name: str, found: Sequence[Effect]) -> str:
    rows = [Interval(effect.name, effect.change, effect.low, effect.high, effect.shown) for effect in found]
    return intervals(rows, title=f"Effects, {name}", x=f"change of {study.metric}, low to high; filled: shown")


def _cells_picture(study: Study, name: str, given: Table) -> str:
    series = {f"seed {seed}": figures.tolist() for seed, figures in zip(given.seeds, given.figures, strict=True)}
    cells = [letters(cell) for cell in given.cells]
    return paired(cells, series, title=f"Cells by seed, {name}", x="cell", y=study.metric)


def _effect_lines(found: Mapping[str, list[Effect]]) -> Iterator[Sequence[object]]:
    for name, effects_found in found.items():
        for effect in effects_found:
            ends = (effect.low, effect.high, effect.bootstrap_low, effect.bootstrap_high, effect.p)
            numbers = [f"{number:.6g}" for number in (effect.change, *ends)]
            yield (name, effect.name, *numbers, verdict(effect), "; ".join(effect.aliases))


def _cell_lines(tables: Mapping[str, Table]) -> Iterator[Sequence[object]]:
    for name, given in tables.items():
        for at, cell in enumerate(given.cells):
            for seed, figures in zip(given.seeds, given.figures, strict=True):
                yield (name, letters(cell), *cell.values(), seed, float(figures[at]))
