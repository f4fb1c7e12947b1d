"""A planted effect is found, a planted null is not shown, aliases are told; the page's figures follow from its rows."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pipeline.study import analysis, tables
from pipeline.study.analysis import Effect, aliased, difference, holm, main_effects, table
from pipeline.study.design import LEVELS, read_study
from tests.needs import ROOT
from tests.pipeline.study.test_design import SHIPPED
from yolox_core.errors import InputError

STUDY = read_study(SHIPPED)
FOLDER = ROOT / "docs" / "studies"
LOW, HIGH = (dict.fromkeys(STUDY.factors, level) for level in LEVELS)


def rows(planted: Mapping[str, float], seeds: int = 3, spread: float = 0.05, draw: int = 0) -> list[dict[str, Any]]:
    """Figures of a world in which each factor changes map by so much, seeds differ, and the rest is noise."""
    rng = np.random.default_rng(draw)
    level = rng.normal(0.4, 0.1, seeds)
    made = []
    for seed in range(seeds):
        for cell in STUDY.cells():
            effect = sum(planted.get(name, 0.0) for name, at in cell.items() if at == "high")
            figure = level[seed] + effect + rng.normal(0, spread)
            made.append({"data": "raccoon", "seed": seed, "cell": cell, "figures": {"held_out": {"map": figure}}})
    return made


def effects(given: list[dict[str, Any]]) -> dict[str, Effect]:
    return {effect.name: effect for effect in main_effects(STUDY, table(STUDY, given, "raccoon"))}


def test_a_planted_effect_is_found_and_nothing_else() -> None:
    found = effects(rows({"test_size": -0.2}))
    assert found["test_size"].shown and found["test_size"].change == pytest.approx(-0.2, abs=0.05)
    assert found["test_size"].low < -0.2 < found["test_size"].high
    assert not any(effect.shown for name, effect in found.items() if name != "test_size")


def test_a_world_without_effects_shows_none_nearly_always() -> None:
    shown = [any(effect.shown for effect in effects(rows({}, draw=draw)).values()) for draw in range(40)]
    assert sum(shown) <= 5  # one in twenty is what the correction allows


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = [
        effect.low <= (0.1 if name == "mixup" else 0.0) <= effect.high
        for draw in range(40)
        for name, effect in effects(rows({"mixup": 0.1}, draw=draw)).items()
    ]
    assert 0.90 < np.mean(inside) < 0.99


def test_aliases_are_those_of_the_design() -> None:
    assert aliased(STUDY, ("mixup",)) == ("width x test_size",)
    assert set(aliased(STUDY, ("width",))) == {"training_sizes x mosaic_scale", "test_size x mixup"}
    found = effects(rows({}))
    assert len(found) == 7  # as many as eight cells can tell apart
    assert found["mixup"].aliases == ("width x test_size",)


def test_two_cells_are_compared_with_the_spread_of_all() -> None:
    given = table(STUDY, rows({"width": -0.1, "mixup": -0.1}), "raccoon")
    stock = difference(given, LOW, HIGH, "small - tiny")
    assert stock.shown and stock.low < -0.2 < stock.high


def test_seeds_without_every_cell_are_left_out() -> None:
    given = rows({}, seeds=4)[:-1]
    assert table(STUDY, given, "raccoon").seeds == (0, 1, 2)
    with pytest.raises(InputError, match="at least two seeds"):
        table(STUDY, given[:12], "raccoon")


def test_holm_is_as_in_the_books() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_the_page_says_what_its_rows_say() -> None:
    """Every row of the page's tables, made again."""
    page = (FOLDER / "tiny_vs_small.md").read_text(encoding="utf-8").splitlines()
    recorded = [json.loads(line) for line in (FOLDER / "tiny_vs_small.jsonl").read_text().splitlines()]
    assert len(recorded) >= 24 and not any("error" in row for row in recorded)
    made = [
        line
        for part in (tables.cells_table, tables.sizes_table, tables.effects_table)
        for line in part(STUDY, recorded, "raccoon")
    ]
    assert [line for line in page if line.startswith("|")] == made


def test_p_values_are_as_small_as_chance_makes_them() -> None:
    """Without any effect one in twenty is below .05 before correction."""
    rng = np.random.default_rng(1)
    contrast = np.array([1.0, -1.0] * 4) / 4
    draws = [analysis._permuted(rng.normal(size=(3, 8)), contrast, rng) for _ in range(200)]
    assert np.mean(np.array(draws) < 0.05) < 0.10
