"""A sweep's space as Ray Tune draws from it, and what becomes of a draw: a trial's name, values and order."""

import dataclasses
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import generate_variants

from pipeline.sweep.ray_tune import Sample
from pipeline.sweep.space import Points, Range, Space
from pipeline.sweep.trial import Trial, trial_key
from pipeline.training.loop_config import TrainLoopConfig
from yolox_core.config import DetectorSpec
from yolox_core.evaluation.detection_limit import deciding

DRAWS_PER_POINT = 100  # before a space counts as drawn empty


@dataclasses.dataclass(frozen=True)
class Sampler:
    """What Tune drew -> the trial. `listed`: the draw is a place in this list."""

    space: Space
    names: tuple[str, ...]  # of the classes
    category_ids: tuple[int, ...]
    config: TrainLoopConfig  # of every trial, but for recipe, spec and folder
    folder: Path
    listed: tuple[Mapping[str, Any], ...] | None = None

    def __call__(self, drawn: Mapping[str, Any]) -> Sample:
        values = dict(self.listed[drawn["at"]] if self.listed is not None else drawn)
        settings = self.space.settings(values)
        key, recipe, value_range = trial_key(values), settings.recipe(len(self.names)), settings.data.range
        size = recipe.train.input_size
        spec = DetectorSpec(recipe.model, self.names, self.category_ids, size, value_range=value_range)
        config = dataclasses.replace(
            self.config,
            recipe=recipe.to_dict(),
            spec=spec.to_dict(),
            run=str(self.folder / key),
            name=f"{self.folder.parent.name}/{self.folder.name}/{key}",
            report_queue=f"report-queue-{secrets.token_hex(4)}",
        )
        return Sample(key, values, config)


def grid(space: Space, seed: int) -> Points:
    """Every combination, in random order: in its own, early stopping would compare the first only with their like."""
    points = space.grid()
    return random.Random(seed).sample(points, len(points))


def draws(space: Space, samples: int, seed: int) -> Points:
    """So many random points, each once, the same for the same seed; fewer where the space has no more."""
    rng = np.random.default_rng(seed)
    points: dict[str, Mapping[str, Any]] = {}
    for _ in range(samples * DRAWS_PER_POINT):
        _, values = next(generate_variants(distributions(space), random_state=rng))
        points.setdefault(trial_key(values), values)
        if len(points) == samples:
            break
    return list(points.values())


def distributions(space: Space) -> dict[str, Any]:
    """What random and tpe draw from."""
    drawn: dict[str, Any] = {}
    for name, entry in space.entries.items():
        if isinstance(entry, Range):
            drawn[name] = (tune.loguniform if entry.log else tune.uniform)(entry.low, entry.high)
        else:
            drawn[name] = tune.choice(list(entry))
    return drawn


def places(count: int) -> dict[str, Any]:
    """Of a list of so many trials each once."""
    return {"at": tune.grid_search(list(range(count)))}


def tpe(objectives: Sequence[str], seed: int, known: Points) -> Any:
    """Optuna's search. The `known` points come first: those that are done tell at once what they came to."""
    metrics = list(objectives)
    modes = ["max" if name == "map" else "min" for name in objectives]
    one = len(metrics) == 1
    return OptunaSearch(
        metric=metrics[0] if one else metrics,
        mode=modes[0] if one else modes,
        seed=seed,
        points_to_evaluate=[dict(values) for values in known] or None,
    )


def asha(epochs: int, grace_epochs: int, reduction: int, ended: Sequence[Trial]) -> Any:
    """Stops the worse of those that have come as far, counting those that have `ended` before.

    Every schedule is a whole trial's; only equal epochs are compared.
    """
    scheduler: Any = ASHAScheduler(
        time_attr="epochs",
        metric="map",
        mode="max",
        max_t=epochs,
        grace_period=grace_epochs,
        reduction_factor=reduction,
    )
    for trial in ended:
        like: Any = SimpleNamespace(trial_id=trial.key)
        scheduler.on_trial_add(None, like)
        for row in trial.rows:
            scheduler.on_trial_result(None, like, {"epochs": row["epoch"] + 1, "map": deciding(row) or 0.0})
    return scheduler
