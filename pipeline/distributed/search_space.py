"""A sweep's space as Ray Tune draws from it, and what becomes of a draw: a trial's name, values and order."""

import dataclasses
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from pipeline.distributed.tuning import Sample
from pipeline.distributed.worker import WorkerOrder
from pipeline.settings import SweepSettings
from pipeline.sweep.space import Range, Space
from pipeline.sweep.trial import trial_key
from yolox_core.config import DetectorSpec


@dataclasses.dataclass(frozen=True)
class Sampler:
    """What Tune drew -> the trial. `listed`: the draw is a place in this list."""

    space: Space
    names: tuple[str, ...]  # of the classes
    category_ids: tuple[int, ...]
    order: WorkerOrder  # of every trial, but for recipe, spec and folder
    folder: Path
    listed: tuple[Mapping[str, Any], ...] | None = None

    def __call__(self, drawn: Mapping[str, Any]) -> Sample:
        values = dict(self.listed[drawn["at"]] if self.listed is not None else drawn)
        key, recipe = trial_key(values), self.space.settings(values).recipe(len(self.names))
        spec = DetectorSpec(recipe.model, self.names, self.category_ids, recipe.train.input_size)
        order = dataclasses.replace(
            self.order,
            recipe=recipe.to_dict(),
            spec=spec.to_dict(),
            run=str(self.folder / key),
            board=f"board-{secrets.token_hex(4)}",
        )
        return Sample(key, values, order)


def distributions(space: Space) -> dict[str, Any]:
    """What random and tpe draw from."""
    drawn: dict[str, Any] = {}
    for name, entry in space.entries.items():
        if isinstance(entry, Range):
            drawn[name] = (tune.loguniform if entry.log else tune.uniform)(entry.low, entry.high)
        else:
            drawn[name] = tune.choice(list(entry))
    return drawn


def shuffled(grid: Sequence[Mapping[str, Any]], seed: int) -> tuple[Mapping[str, Any], ...]:
    """A grid in random order: in its own, early stopping would compare the first only with others of its kind."""
    return tuple(random.Random(seed).sample(list(grid), len(grid)))


def places(count: int) -> dict[str, Any]:
    """Of a list of so many trials each once."""
    return {"at": tune.grid_search(list(range(count)))}


def searcher(sweep: SweepSettings, seed: int, at_once: int) -> Any:
    """Who draws; the same draws for the same seed."""
    if sweep.search != "tpe":
        return BasicVariantGenerator(random_state=seed, max_concurrent=at_once)
    from ray.tune.search.optuna import OptunaSearch

    if len(sweep.objectives) == 1:
        return OptunaSearch(metric="map", mode="max", seed=seed)
    modes = ["max" if name == "map" else "min" for name in sweep.objectives]
    return OptunaSearch(metric=list(sweep.objectives), mode=modes, seed=seed)


def asha(epochs: int, grace_epochs: int, reduction: int) -> Any:
    """Stops the worse of those that have come as far. Every schedule is a whole trial's; equal epochs are compared."""
    return ASHAScheduler(time_attr="epochs", max_t=epochs, grace_period=grace_epochs, reduction_factor=reduction)
