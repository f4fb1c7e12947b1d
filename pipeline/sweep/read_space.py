"""Reading a sweep's space from params.yaml: checked in full before anything starts."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.settings import Settings
from pipeline.sweep.algorithms import check_name, check_search, is_exhaustive
from pipeline.sweep.space import Range, Space, Values, grace_epochs, known_parameters, with_values
from yolox_core.data.albumentations import check_transforms
from yolox_core.errors import InputError, nearest
from yolox_core.model.yolox import check_freezing

WIDTH_STEPS = 8  # channels that are multiples of 8 run fast everywhere: a sweep's widths are n/8
EQUAL = {  # what trials must share
    "model.weights": "name it in params.yaml, model.weights",
    "train.epochs": "trials are compared after equal epochs; set it in sweep.base",
    "train.closing_epochs": "trials are compared after equal epochs; set it in sweep.base",
    "train.warmup_epochs": "trials are compared after equal epochs; set it in sweep.base",
    "train.patience": "early stopping is the sweep's",
    "train.evaluate_every": "every epoch of a trial is measured",
    "train.threads": "it would change how fast a trial is, not what it is",
}
ARCHITECTURE = ("model.size", "model.width", "model.depth", "model.depthwise")


def read_space(settings: Settings, plain: Mapping[str, Any]) -> Space:
    """The space of params.yaml, `plain` and as settings. InputError on whatever a trial would stumble over."""
    sweep = settings.sweep
    check_name(sweep.search)
    known = known_parameters()
    for where, entries in (("space", sweep.space), ("base", sweep.base)):
        for name in entries:
            if name not in known:
                raise InputError(f"sweep.{where}: unknown parameter '{name}'. {nearest(str(name), known)}")
    for name in sweep.space:
        if name in EQUAL:
            raise InputError(f"sweep.space.{name}: expected another parameter: {EQUAL[name]}.")
    if "model.weights" in sweep.base:
        raise InputError(f"sweep.base.model.weights: expected another parameter: {EQUAL['model.weights']}.")
    if not sweep.space:
        raise InputError(
            "sweep.space: expected at least one parameter with its values, got none. "
            "For example `model.width: [0.25, 0.375]`."
        )
    fixed = {**sweep.base, "train.patience": None, "train.evaluate_every": 1}
    space = Space({name: _entry(name, entry) for name, entry in sweep.space.items()}, with_values(plain, fixed))
    check_search(sweep, space)
    _check_epochs(settings, space)
    if settings.model.weights is not None and any(name in space.entries for name in ARCHITECTURE):
        raise InputError("sweep.space: expected no architecture beside model.weights: they fit one alone.")
    _check_values(space, is_exhaustive(sweep.search))
    return space


def _entry(name: str, entry: Any) -> tuple[Any, ...] | Range:
    where = f"sweep.space.{name}"
    if isinstance(entry, dict):
        return _range(where, entry)
    if not isinstance(entry, list) or not entry:
        raise InputError(f"{where}: expected a list of values, or {{low, high}}, got {entry!r}.")
    if any(value in entry[:at] for at, value in enumerate(entry)):
        raise InputError(f"{where}: expected each value once, got {entry!r}.")
    if name == "model.width":
        for width in entry:
            if isinstance(width, (int, float)) and width * WIDTH_STEPS != int(width * WIDTH_STEPS):
                low, high = math.floor(width * WIDTH_STEPS), math.ceil(width * WIDTH_STEPS)
                legal = " or ".join(str(step / WIDTH_STEPS) for step in (low, high) if step)
                raise InputError(f"{where}: expected multiples of 1/8, got {width!r}. Nearest legal: {legal}.")
    return tuple(entry)


def _range(where: str, entry: Mapping[str, Any]) -> Range:
    for key in entry:
        if key not in ("low", "high", "log"):
            raise InputError(f"{where}: expected low, high and log, got {key!r}.")
    low, high, log = (entry.get(key, math.nan) for key in ("low", "high", "log"))
    log = False if "log" not in entry else log
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not low < high or not isinstance(log, bool) or (log and low <= 0):
        raise InputError(f"{where}: expected low < high (above 0 where log), got {dict(entry)!r}.")
    if where.endswith((".width", ".depth", "_topk", "_size", "size")):
        raise InputError(f"{where}: expected a list of values, got a range: few of its numbers are legal.")
    return Range(float(low), float(high), log)


def _check_epochs(settings: Settings, space: Space) -> None:
    sweep, epochs = settings.sweep, space.settings({}).train.epochs
    if sweep.early_stopping and not grace_epochs(settings, space) < epochs:
        raise InputError(
            f"sweep.grace_epochs: expected fewer than the {epochs} epochs of a trial, got "
            f"{grace_epochs(settings, space)}. Raise train.epochs in sweep.base, or set early_stopping: false."
        )


def _check_values(space: Space, every_combination: bool) -> None:
    """Every value by itself, and every combination of a grid."""
    grid = space.grid() if every_combination else []
    for values in itertools.chain(_alone(space), grid):
        try:
            settings = space.settings(values)
            check_transforms(settings.augment)
            check_freezing(settings.train.freeze)
        except InputError as illegal:
            raise InputError(f"sweep.space: {dict(values)}: {illegal}") from illegal


def _alone(space: Space) -> Iterator[Values]:
    yield {}
    for name, entry in space.entries.items():
        for value in (entry.low, entry.high) if isinstance(entry, Range) else entry:
            yield {name: value}
