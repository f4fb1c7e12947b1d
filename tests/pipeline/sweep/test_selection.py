"""The front against a slow twin, and choices that the data carry, or do not."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweep.selection import Finalist, choose, front

OBJECTIVES = ("map", "gflops")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(places: list[tuple[int, int]]) -> None:
    points = {str(at): {"map": float(map_), "gflops": float(cost)} for at, (map_, cost) in enumerate(places)}
    found = front(points, OBJECTIVES)
    for key, (map_, cost) in zip(points, places, strict=True):
        better = [(m, c) for m, c in places if m >= map_ and c <= cost and (m > map_ or c < cost)]
        assert (key in found) == (not better)
    assert found


def finalist(key: str, maps: list[float], cost: float) -> Finalist:
    return Finalist(key, tuple(maps), cost)


def test_a_winner_is_named_where_the_interval_says_so() -> None:
    choice = choose([finalist("a", [0.50, 0.52, 0.51], 2.0), finalist("b", [0.30, 0.33, 0.31], 1.0)])
    assert choice.key == choice.best == "a"
    assert "better than every other" in choice.reason
    (compared,) = choice.comparisons
    assert compared.shown and compared.low < compared.difference < compared.high


def test_of_equals_the_cheapest_is_taken() -> None:
    choice = choose(
        [
            finalist("dear", [0.50, 0.46, 0.51], 3.0),
            finalist("cheap", [0.47, 0.49, 0.48], 1.0),
            finalist("worse", [0.10, 0.11, 0.10], 0.5),
        ]
    )
    assert (choice.best, choice.key) == ("dear", "cheap")
    assert choice.reason == "No difference found to dear; it is the cheapest of these."


def test_the_best_that_is_also_the_cheapest_of_its_equals_is_taken() -> None:
    choice = choose([finalist("a", [0.50, 0.46], 1.0), finalist("b", [0.47, 0.48], 2.0)])
    assert choice.key == "a" and choice.reason.startswith("No difference found to b; of these it is the cheapest")
    assert choose([finalist("a", [0.5, 0.6], 1.0)]).reason == "It was the only finalist."


def test_seeds_that_agree_to_the_last_digit_are_equals() -> None:
    choice = choose([finalist("a", [0.5, 0.6, 0.7], 2.0), finalist("b", [0.5, 0.6, 0.7], 1.0)])
    assert choice.key == "b" and not choice.comparisons[0].shown


@pytest.mark.parametrize(("count", "seeds"), [(3, 3), (5, 3), (5, 5)])
def test_luck_alone_seldom_calls_one_worse(count: int, seeds: int) -> None:
    """Finalists that are the same: uncorrected, or with one comparison less for each, it is more than 5%."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(2000):
        maps = rng.normal(0.4, 0.02, (count, seeds))
        choice = choose([finalist(str(at), list(row), at) for at, row in enumerate(maps)])
        called += any(compared.shown for compared in choice.comparisons)
    assert called / 2000 < 0.05


def test_a_difference_of_many_spreads_is_found() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        better, worse = rng.normal(0.50, 0.01, 3), rng.normal(0.40, 0.01, 3)
        found += choose([finalist("b", list(better), 2.0), finalist("w", list(worse), 1.0)]).key == "b"
    assert found / 200 > 0.8


def test_a_shift_without_spread_cannot_be_judged() -> None:
    choice = choose([finalist("a", [0.5, 0.6], 2.0), finalist("b", [0.25, 0.35], 1.0)])
    exact = choose([finalist("a", [0.5, 0.75], 2.0), finalist("b", [0.25, 0.5], 1.0)])
    assert exact.key == "b" and not exact.comparisons[0].shown
    assert choice.comparisons[0].difference == pytest.approx(0.25)


def test_the_order_of_finalists_does_not_matter() -> None:
    three = [
        finalist("a", [0.5, 0.4, 0.6], 3.0),
        finalist("b", [0.5, 0.5, 0.5], 2.0),
        finalist("c", [0.2, 0.1, 0.2], 1.0),
    ]
    assert len({choose(list(order)).key for order in itertools.permutations(three)}) == 1
