"""A planted effect is found, a planted null is not shown, aliases are told; the page's figures follow from its rows."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.study import analysis, tables
from pipeline.study.analysis import Effect, Table, aliased, difference, holm, main_effects, smallest_p, table
from pipeline.study.design import LEVELS, Study, read_study
from pipeline.study.rows import digest, read_rows
from tests.needs import ROOT
from tests.pipeline.study.test_design import SHIPPED
from yolox_core.errors import InputError

STUDY = read_study(SHIPPED)
PLANTED = ROOT / "pipeline" / "study" / "planted.yaml"
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
    """Every row of the page's tables, made again from the table that names the MLflow runs."""
    page = (FOLDER / "tiny_vs_small.md").read_text(encoding="utf-8").splitlines()
    recorded = read_rows(FOLDER / "tiny_vs_small.csv")
    assert len(recorded) == 33 and len({row["mlflow_run"] for row in recorded}) == 33
    made = [
        line
        for part in (tables.cells_table, tables.sizes_table, tables.effects_table)
        for line in part(STUDY, recorded, "raccoon")
    ]
    assert [line for line in page if line.startswith("|")] == made


def test_the_table_says_what_the_lines_say() -> None:
    """Nothing but the losses is in the lines alone, and each line is the one that was imported."""
    lines = {row["key"]: row for row in read_rows(FOLDER / "tiny_vs_small.jsonl")}
    for row in read_rows(FOLDER / "tiny_vs_small.csv"):
        line = lines.pop(row["key"])
        assert row.pop("row") == digest(line) and len(row.pop("mlflow_run")) == 32
        assert row == {name: value for name, value in line.items() if name != "loss"}
    assert not lines


def test_a_planted_effect_of_real_runs_is_shown_and_a_planted_null_is_not() -> None:
    """Recorded trainings: 32 px hide the objects, a ten-thousandth of a loss weight changes only the bits."""
    study = read_study(PLANTED)
    recorded = read_rows(Path(__file__).with_name("planted.jsonl"))
    assert {row["key"]: row["params"] for row in recorded} == {run.key: run.digest for run in study.plan()}
    found = {effect.name: effect for effect in main_effects(study, table(study, recorded, "scenes"))}
    assert found["input_size"].shown and found["input_size"].low > 0.05 and found["input_size"].bootstrap_low > 0.05
    assert not found["iou_weight"].shown and not found["input_size x iou_weight"].shown
    assert found["iou_weight"].low < 0 < found["iou_weight"].high
    figures = table(study, recorded, "scenes").figures
    assert (figures[:, 2] != figures[:, 3]).all()  # the null is a null with noise, not the same run twice


def false_positives(study: Study, worlds: int) -> float:
    """How often worlds without any effect have the first factor's change below .05, before correction."""
    cells, rng = tuple(study.cells()), np.random.default_rng(0)
    contrast = np.array([1.0 if cell[next(iter(study.factors))] == "high" else -1.0 for cell in cells]) / 2
    below = 0
    for _ in range(worlds):
        figures = rng.normal(size=(5, 1)) + rng.normal(size=(5, len(cells)))
        below += analysis._permuted(figures, contrast, rng) < 0.05
    return below / worlds


def test_one_null_in_twenty_is_below_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test has its level: neither more false alarms than it says, nor so few that it could see nothing."""
    monkeypatch.setattr(analysis, "PERMUTATIONS", 999)
    assert 0.035 < false_positives(read_study(PLANTED), 1500) < 0.065  # 2.7 standard errors


def test_whole_studies_without_effects_show_one_in_twenty_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "PERMUTATIONS", 999)
    monkeypatch.setattr(analysis, "RESAMPLES", 99)
    study, rng, alarms = read_study(PLANTED), np.random.default_rng(1), 0
    cells = tuple(study.cells())
    for draw in range(400):
        given = Table(tuple(range(5)), cells, rng.normal(size=(5, 1)) + rng.normal(size=(5, 4)))
        alarms += any(effect.shown for effect in main_effects(study, given, seed=draw))
    assert 1 <= alarms <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_bootstrap_intervals_are_of_the_seeds_own_changes() -> None:
    """Against the obvious: all 27 ways to draw three seeds again, each as likely."""
    given = table(STUDY, rows({"mixup": -0.2}, seeds=3), "raccoon")
    found = next(effect for effect in main_effects(STUDY, given) if effect.name == "mixup")
    high = np.array([cell["mixup"] == "high" for cell in STUDY.cells()[:8]])
    changes = given.figures[:, :8][:, high].mean(1) - given.figures[:, :8][:, ~high].mean(1)
    means = np.sort([np.mean(drawn) for drawn in itertools.product(changes, repeat=3)])
    assert found.bootstrap_low == pytest.approx(means[0]) and found.bootstrap_high == pytest.approx(means[-1])


def test_too_few_seeds_to_show_anything_are_known_beforehand() -> None:
    """The bound against the most perfect effect that there can be."""
    study = read_study(PLANTED)
    for seeds in (2, 3):
        figures = np.array([[0.0, 0.0, 1.0, 1.0]] * seeds) + np.random.default_rng(0).normal(0, 1e-3, (seeds, 4))
        best = main_effects(study, Table(tuple(range(seeds)), tuple(study.cells()), figures))[0]
        assert best.p == pytest.approx(smallest_p(study, seeds), rel=0.2)
    assert smallest_p(study, 2) > 0.05 > smallest_p(study, 3)


def test_p_values_are_as_small_as_chance_makes_them() -> None:
    """Without any effect one in twenty is below .05 before correction."""
    rng = np.random.default_rng(1)
    contrast = np.array([1.0, -1.0] * 4) / 4
    draws = [analysis._permuted(rng.normal(size=(3, 8)), contrast, rng) for _ in range(200)]
    assert np.mean(np.array(draws) < 0.05) < 0.10
