"""Which trials are worth a second look, and which one to take: by evidence, not by the luckiest seed.

The best few are trained again with seeds of their own, all with the same ones. Each is compared with the best by
paired differences over these seeds (Student's t; Bonferroni over all pairs of finalists, any of which might have come
out as the best). Those that the data do not show to
be worse are equals, and of equals the cheapest is taken.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Finalist:
    """One configuration's maps over the seeds, in the same order of seeds for all."""

    key: str
    maps: tuple[float, ...]
    cost: float

    @property
    def mean(self) -> float:
        """Over its seeds."""
        return sum(self.maps) / len(self.maps)


@dataclass(frozen=True)
class Comparison:
    """The best one's map less another's: the mean over seeds and its interval."""

    key: str
    difference: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the other is shown to be worse."""
        return self.low > 0


@dataclass(frozen=True)
class Choice:
    """What to take, and why."""

    key: str
    best: str  # by the mean alone
    comparisons: tuple[Comparison, ...]
    reason: str


def front(points: Mapping[str, Mapping[str, float]], objectives: Sequence[str]) -> list[str]:
    """Keys of the points that no other one beats: map as large as can be, everything else as small."""

    def gains(key: str) -> list[float]:
        return [points[key][name] * (1 if name == "map" else -1) for name in objectives]

    def beaten(key: str) -> bool:
        own = gains(key)
        return any(
            all(theirs >= mine for theirs, mine in zip(gains(other), own, strict=True)) and gains(other) != own
            for other in points
        )

    return [key for key in points if not beaten(key)]


def choose(finalists: Sequence[Finalist]) -> Choice:
    """The best where the data show it, otherwise the cheapest of those that they cannot tell from it."""
    best = max(finalists, key=lambda one: (one.mean, -one.cost))
    others = [one for one in finalists if one is not best]
    pairs = len(finalists) * (len(finalists) - 1) // 2  # the best might have been any of them
    comparisons = tuple(_compare(best, other, pairs) for other in others)
    equals = [one for one, compared in zip(others, comparisons, strict=True) if not compared.shown]
    taken = min([best, *equals], key=lambda one: (one.cost, -one.mean))
    if not others:
        reason = "It was the only finalist."
    elif not equals:
        reason = "It is better than every other finalist: no interval of the differences reaches 0."
    elif taken is best:
        reason = f"No difference found to {_names(equals)}; of these it is the cheapest, and has the highest mean."
    else:
        alike = [one for one in (best, *equals) if one is not taken]
        reason = f"No difference found to {_names(alike)}; it is the cheapest of these."
    return Choice(taken.key, best.key, comparisons, reason)


def _compare(best: Finalist, other: Finalist, comparisons: int) -> Comparison:
    from scipy import stats  # here: a second, which `--plan` does without

    differences = [own - their for own, their in zip(best.maps, other.maps, strict=True)]
    mean = sum(differences) / len(differences)
    if len(set(differences)) == 1:  # no spread, nothing to judge by
        return Comparison(other.key, mean, -math.inf, math.inf)
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(confidence)
    return Comparison(other.key, mean, float(interval.low), float(interval.high))


def _names(finalists: Sequence[Finalist]) -> str:
    return ", ".join(one.key for one in finalists)
