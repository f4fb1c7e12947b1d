"""What Tune draws from a space: legal, all of it, and the same for the same seed."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cluster.ray_cluster import ENVIRONMENT
from pipeline.config.settings import settings_from
from pipeline.sweep.algorithms import SEARCH_ALGORITHMS, Listed
from pipeline.sweep.read_space import read_space
from pipeline.sweep.space import Space
from pipeline.sweep.trial import Trial

SPACE = {"model.width": [0.125, 0.25, 0.375], "assign.center_radius": {"low": 1.0, "high": 4.0}}
RATES = {"train.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def space_of(space: dict[str, Any], **sweep: Any) -> Space:
    plain = {"train": {"epochs": 8, "closing_epochs": 1, "warmup_epochs": 1}, "sweep": {"space": space, **sweep}}
    return read_space(settings_from(plain), plain)


def drawn(space: Space, search: str, seed: int, count: int = 8) -> list[Any]:
    from pipeline.sweep.tune_search import distributions

    algorithm = SEARCH_ALGORITHMS[search]
    if isinstance(algorithm, Listed):
        return list(algorithm.points(space, count, seed))
    source = algorithm.searcher(("map",), seed, [])
    source.set_search_properties(None, None, distributions(space))
    values = []
    for at in range(count):
        values.append(source.suggest(str(at)))
        source.on_trial_complete(str(at), {"map": 1 / (1 + at), "training_iteration": 1})
    return values


@pytest.mark.parametrize("search", ["random", "tpe"])
@pytest.mark.parametrize("entries", [SPACE, RATES])
def test_draws_are_legal_and_come_again_for_the_same_seed(search: str, entries: dict[str, Any]) -> None:
    space = space_of(entries, search=search, early_stopping=False)
    first = drawn(space, search, seed=3)
    assert first == drawn(space, search, seed=3) != drawn(space, search, seed=4)
    for values in first:
        space.settings(values)
        for name, entry in entries.items():
            legal = entry["low"] <= values[name] <= entry["high"] if isinstance(entry, dict) else values[name] in entry
            assert legal, values


def test_a_grid_is_tried_in_full_and_in_no_order() -> None:
    space = space_of({"model.width": [0.125, 0.25, 0.375], "model.depth": [0.33, 0.67]})
    tried = drawn(space, "grid", seed=0)
    assert sorted(map(str, tried)) == sorted(map(str, space.grid())) and tried != space.grid()
    assert tried == drawn(space, "grid", seed=0) != drawn(space, "grid", seed=1)


def test_no_point_is_drawn_twice_and_a_small_space_ends() -> None:
    space = space_of({"model.width": [0.125, 0.25], "model.depth": [0.33, 0.67]}, search="random")
    assert sorted(map(str, drawn(space, "random", seed=0, count=50))) == sorted(map(str, space.grid()))


def test_tpe_begins_with_what_is_known() -> None:
    from pipeline.sweep.tune_search import distributions, tpe

    known = [{"model.width": 0.25, "assign.center_radius": 1.75}, {"model.width": 0.125, "assign.center_radius": 3.5}]
    source = tpe(("map", "gflops"), 0, known)
    source.set_search_properties(None, None, distributions(space_of(SPACE, search="random")))
    assert [source.suggest("a"), source.suggest("b")] == known


def test_early_stopping_remembers_those_that_ended() -> None:
    """What a scheduler decides after a kill is what it would have decided without one."""
    from pipeline.sweep.tune_search import asha

    def trial(key: str, *maps: float) -> Trial:
        return Trial(key, {}, "pruned", [{"epoch": at, "map": value} for at, value in enumerate(maps)])

    ended = [trial("a", 0.0, 0.3), trial("b", 0.1, 0.4), trial("c", 0.0, 0.5)]
    late: Any = SimpleNamespace(trial_id="late")

    def decided(known: list[Trial], value: float) -> str:
        scheduler = asha(6, 2, 3, known)
        scheduler.on_trial_add(None, late)
        assert scheduler.on_trial_result(None, late, {"epochs": 1, "map": 0.0}) == "CONTINUE"
        return str(scheduler.on_trial_result(None, late, {"epochs": 2, "map": value}))

    assert decided(ended, 0.2) == "STOP" and decided(ended, 0.6) == "CONTINUE"
    assert decided([], 0.2) == "CONTINUE"
