"""A study: a question, factors of two levels each, seeds and data sets, planned as a fractional factorial.

A factor names parameters (dotted, as in params.yaml) and the values they take at its low and its high level. Factors
without a generator are crossed in full; a generated one is high where an even number of its generators is low, which
aliases it with their interaction (Box, Hunter, Hunter: Statistics for Experimenters, chapter 6).
"""

import copy
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from pipeline.settings import Settings, settings_from
from yolox_core.errors import InputError, nearest

Level = Literal["low", "high"]
LEVELS: tuple[Level, Level] = ("low", "high")
KEYS = {"question", "metric", "seeds", "factors", "generators", "extra", "data", "base"}


@dataclass(frozen=True)
class Run:
    """One training of a study."""

    data: str
    cell: Mapping[str, Level]  # of every factor
    seed: int
    params: Mapping[str, Any]  # as params.yaml

    @property
    def key(self) -> str:
        """What tells this run from all others of its study: data, levels in the order of the factors, seed."""
        return f"{self.data}/{''.join(level[0] for level in self.cell.values())}/{self.seed}"

    @property
    def digest(self) -> str:
        """What tells its parameters from those of another version of the study."""
        return hashlib.sha256(json.dumps(self.params, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def settings(self) -> Settings:
        return settings_from(self.params)


@dataclass(frozen=True)
class DataChoice:
    """Which images of a data set a study takes."""

    one_object: bool = False  # trained and measured on images of exactly one object; the others are measured apart
    folds: int = 5  # seed s is measured on fold s of so many and trained on the others


@dataclass(frozen=True)
class Study:
    """A study as its YAML file states it; checked."""

    metric: str
    factors: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]  # name -> parameters at low, at high
    generators: Mapping[str, tuple[str, ...]]
    extra: tuple[Mapping[str, Level], ...]  # cells beside the factorial
    seeds: tuple[int, ...]
    data: Mapping[str, DataChoice]
    base: Mapping[str, Any]

    def cells(self) -> list[dict[str, Level]]:
        """The factorial's cells, then those of `extra` that are not among them."""
        free = [name for name in self.factors if name not in self.generators]
        cells = []
        for signs in itertools.product((-1, 1), repeat=len(free)):
            sign = dict(zip(free, signs, strict=True))
            for name, parents in self.generators.items():
                sign[name] = 1
                for parent in parents:
                    sign[name] *= sign[parent]
            cells.append({name: LEVELS[sign[name] > 0] for name in self.factors})
        return cells + [dict(cell) for cell in self.extra if cell not in cells]

    def plan(self) -> list[Run]:
        """Every run: of each data set, all cells of one seed before those of the next."""
        return [
            Run(data, cell, seed, self.params(cell, seed))
            for data in self.data
            for seed in self.seeds
            for cell in self.cells()
        ]

    def params(self, cell: Mapping[str, Level], seed: int) -> dict[str, Any]:
        """params.yaml of one run."""
        params = copy.deepcopy(dict(self.base)) | {"seed": seed}
        for name, level in cell.items():
            for key, value in self.factors[name][LEVELS.index(level)].items():
                section, _, entry = key.partition(".")
                params.setdefault(section, {})[entry] = value
        return params


def read_study(path: Path) -> Study:
    """The study of a YAML file. InputError on what it does not know, before anything runs."""
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise InputError(f"{path}: no such study ({missing.strerror}).") from missing
    except (yaml.YAMLError, UnicodeDecodeError) as broken:
        raise InputError(f"{path}: not YAML: {broken}") from broken
    if not isinstance(plain, dict):
        raise InputError(f"{path}: expected a mapping with {', '.join(sorted(KEYS))}.")
    try:
        study = _study(plain)
        for run in study.plan():
            _ = run.settings  # an illegal factor, or a misspelled parameter
    except InputError as wrong:
        raise InputError(f"{path}: {wrong}") from wrong
    return study


def _study(plain: Mapping[str, Any]) -> Study:
    for key in plain:
        if key not in KEYS:
            raise InputError(f"expected one of {', '.join(sorted(KEYS))}, got {key!r}. {nearest(str(key), KEYS)}")
    for key in sorted(KEYS - {"generators", "extra"} - set(plain)):
        raise InputError(f"{key}: missing.")
    factors = {str(name): _factor(str(name), levels) for name, levels in _mapping(plain, "factors").items()}
    generators = {str(name): tuple(parents) for name, parents in (plain.get("generators") or {}).items()}
    for name, parents in generators.items():
        for parent in (name, *parents):
            if parent not in factors or (parent in generators) != (parent == name):
                raise InputError(f"generators.{name}: expected factors that have no generator, got {parent!r}.")
    seeds = plain["seeds"]
    if not isinstance(seeds, list) or not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"seeds: expected a list of at least one, each once, got {seeds!r}.")
    data = {str(name): _choice(str(name), choice or {}) for name, choice in _mapping(plain, "data").items()}
    extra = tuple(_cell(cell, factors) for cell in plain.get("extra", []))
    return Study(plain["metric"], factors, generators, extra, tuple(seeds), data, plain["base"])


def _mapping(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = plain[key]
    if not isinstance(value, dict) or not value:
        raise InputError(f"{key}: expected at least one, by name, got {value!r}.")
    return value


def _choice(name: str, choice: Any) -> DataChoice:
    known = [field.name for field in fields(DataChoice)]
    for key in choice if isinstance(choice, dict) else [choice]:
        if key not in known:
            raise InputError(
                f"data.{name}: expected one of {', '.join(known)}, got {key!r}. {nearest(str(key), known)}"
            )
    made = DataChoice(**choice)
    if not isinstance(made.folds, int) or made.folds < 2:
        raise InputError(f"data.{name}.folds: expected at least 2, got {made.folds!r}.")
    return made


def _factor(name: str, levels: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if not isinstance(levels, dict) or not all(isinstance(pair, list) and len(pair) == 2 for pair in levels.values()):
        raise InputError(f"factors.{name}: expected parameters with two values each, as `model.width: [0.375, 0.5]`.")
    for key in levels:
        if "." not in key:
            raise InputError(f"factors.{name}: expected `section.key` as in params.yaml, got {key!r}.")
    low, high = ({key: pair[at] for key, pair in levels.items()} for at in (0, 1))
    return low, high


def _cell(cell: Any, factors: Mapping[str, Any]) -> Mapping[str, Level]:
    if cell in LEVELS:
        return dict.fromkeys(factors, cell)
    if isinstance(cell, dict) and set(cell) == set(factors) and all(level in LEVELS for level in cell.values()):
        return {name: cell[name] for name in factors}
    raise InputError(f"extra: expected `low`, `high`, or a level of each factor, got {cell!r}.")
