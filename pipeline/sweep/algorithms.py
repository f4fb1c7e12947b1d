"""The list of search algorithms: what each needs, and where its trials come from.

To add one, put what it does with Ray Tune into tune_search.py or a file of its own, and an entry here: params.yaml's
check, the plan and the search follow. An entry imports Ray when it is used, after its environment has been set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.settings import SweepSettings
from pipeline.console.extras import require_installed
from pipeline.sweep.space import Points, Range, Space
from yolox_core.errors import InputError, nearest


@dataclass(frozen=True)
class Listed:
    """All trials are known before the first one starts."""

    points: Callable[[Space, int, int], Points]  # of (space, samples, seed)
    is_exhaustive: bool = False  # tries every combination: it takes no ranges, and `samples` does not count


@dataclass(frozen=True)
class Adaptive:
    """Draws trials by what earlier ones came to."""

    searcher: Callable[[Sequence[str], int, Points], Any]  # of (objectives, seed, known points), for Ray Tune
    package: str  # that it needs, of the extra `sweep`


def _grid(space: Space, samples: int, seed: int) -> Points:
    from pipeline.sweep import tune_search

    return tune_search.grid(space, seed)


def _random(space: Space, samples: int, seed: int) -> Points:
    from pipeline.sweep import tune_search

    return tune_search.draws(space, samples, seed)


def _tpe(objectives: Sequence[str], seed: int, known: Points) -> Any:
    from pipeline.sweep import tune_search

    return tune_search.tpe(objectives, seed, known)


SEARCH_ALGORITHMS: dict[str, Listed | Adaptive] = {
    "grid": Listed(_grid, is_exhaustive=True),
    "random": Listed(_random),
    "tpe": Adaptive(_tpe, package="optuna"),
}


def is_exhaustive(name: str) -> bool:
    """Whether the algorithm tries every combination."""
    algorithm = SEARCH_ALGORITHMS[name]
    return isinstance(algorithm, Listed) and algorithm.is_exhaustive


def number_of_trials(sweep: SweepSettings, space: Space) -> int:
    """How many the search will come to."""
    return len(space.grid()) if is_exhaustive(sweep.search) else sweep.samples


def check_name(name: str) -> None:
    """InputError where `sweep.search` names no algorithm."""
    if name not in SEARCH_ALGORITHMS:
        known = ", ".join(SEARCH_ALGORITHMS)
        raise InputError(f"sweep.search: expected one of {known}, got {name!r}. {nearest(name, SEARCH_ALGORITHMS)}")


def check_search(sweep: SweepSettings, space: Space) -> None:
    """InputError where the algorithm cannot search such a space, or as the other settings want it."""
    name, algorithm = sweep.search, SEARCH_ALGORITHMS[sweep.search]
    ranges = [parameter for parameter, entry in space.entries.items() if isinstance(entry, Range)]
    if is_exhaustive(name) and ranges:
        others = " or ".join(other for other in SEARCH_ALGORITHMS if not is_exhaustive(other))
        raise InputError(f"sweep.space.{ranges[0]}: expected values for a {name}, got a range. Use {others}.")
    if not isinstance(algorithm, Adaptive):
        return
    require_installed(algorithm.package)
    if sweep.early_stopping or "latency_ms" in sweep.objectives:
        raise InputError(
            f"sweep.search: expected for {name} early_stopping: false and no latency_ms among the objectives: it "
            "learns from whole trials, as they end."
        )
