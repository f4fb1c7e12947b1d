"""What a sweep tries: parameters with values or ranges, checked in full before anything starts."""

import copy
import dataclasses
import itertools
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pipeline.config.settings import Settings, settings_from
from yolox_core.data.albumentations import check_transforms
from yolox_core.errors import InputError, nearest
from yolox_core.model.yolox import check_freezing

SECTIONS = ("model", "assign", "loss", "augment", "train", "evaluate")
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
Values = Mapping[str, Any]  # dotted parameter -> value


@dataclass(frozen=True)
class Range:
    """Numbers from low to high."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Space:
    """A sweep's space on top of a params.yaml."""

    entries: Mapping[str, tuple[Any, ...] | Range]
    plain: Mapping[str, Any]  # params.yaml with sweep.base

    def params(self, values: Values) -> dict[str, Any]:
        """params.yaml of one trial."""
        return with_values(self.plain, values)

    def settings(self, values: Values) -> Settings:
        """The trial's settings; InputError where they are not legal."""
        return settings_from(self.params(values))

    def values(self, name: str) -> tuple[Any, ...]:
        """Those of one parameter; none where it is not searched, or drawn from a range."""
        entry = self.entries.get(name, ())
        return entry if isinstance(entry, tuple) else ()

    def grid(self) -> list[dict[str, Any]]:
        """Every combination. Only of values, not of ranges."""
        names = list(self.entries)
        choices = [entry if isinstance(entry, tuple) else () for entry in self.entries.values()]
        return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*choices)]


def read_space(settings: Settings, plain: Mapping[str, Any]) -> Space:
    """The space of params.yaml, `plain` and as settings. InputError on whatever a trial would stumble over."""
    sweep = settings.sweep
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
    _check_search(settings, space)
    _check_values(space, sweep.search)
    return space


def with_values(plain: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """A copy of params.yaml with these values; `seed` has no section."""
    changed = copy.deepcopy(dict(plain))
    for name, value in values.items():
        section, dot, key = name.partition(".")
        changed[section] = {**(changed.get(section) or {}), key: value} if dot else value
    return changed


def known_parameters() -> list[str]:
    """Dotted names of what a trial may set."""
    hints = typing.get_type_hints(Settings)
    return [f"{name}.{entry.name.rstrip('_')}" for name in SECTIONS for entry in dataclasses.fields(hints[name])]


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


def _check_search(settings: Settings, space: Space) -> None:
    sweep, epochs = settings.sweep, space.settings({}).train.epochs
    ranges = [name for name, entry in space.entries.items() if isinstance(entry, Range)]
    if sweep.search == "grid" and ranges:
        raise InputError(f"sweep.space.{ranges[0]}: expected values for a grid, got a range. Use random or tpe.")
    if sweep.search == "tpe" and find_spec("optuna") is None:
        raise InputError("sweep.search: tpe needs Optuna, which is not installed. Install the extra `sweep`.")
    if sweep.search == "tpe" and (sweep.early_stopping or "latency_ms" in sweep.objectives):
        raise InputError(
            "sweep.search: expected for tpe early_stopping: false and no latency_ms among the objectives: it learns "
            "from whole trials, as they end."
        )
    if sweep.early_stopping and not grace_epochs(settings, space) < epochs:
        raise InputError(
            f"sweep.grace_epochs: expected fewer than the {epochs} epochs of a trial, got "
            f"{grace_epochs(settings, space)}. Raise train.epochs in sweep.base, or set early_stopping: false."
        )
    if settings.model.weights is not None and any(name in space.entries for name in ARCHITECTURE):
        raise InputError("sweep.space: expected no architecture beside model.weights: they fit one alone.")


def grace_epochs(settings: Settings, space: Space) -> int:
    """Epochs that every trial gets: past the warm-up, in which maps say little."""
    return settings.sweep.grace_epochs or space.settings({}).train.warmup_epochs + 2


def _check_values(space: Space, search: str) -> None:
    """Every value by itself, and every combination of a grid."""
    grid = space.grid() if search == "grid" else []
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
