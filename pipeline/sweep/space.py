"""What a sweep tries: parameters with values or ranges, on top of a params.yaml."""

import copy
import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.settings import Settings, settings_from

SECTIONS = ("model", "assign", "loss", "augment", "train", "evaluate")
Values = Mapping[str, Any]  # dotted parameter -> value
Points = Sequence[Values]


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


def grace_epochs(settings: Settings, space: Space) -> int:
    """Epochs that every trial gets: past the warm-up, in which maps say little."""
    return settings.sweep.grace_epochs or space.settings({}).train.warmup_epochs + 2
