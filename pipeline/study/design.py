"""A study: a question, factors of two levels each, seeds and data sets, planned as a fractional factorial.

A factor names parameters (dotted, as in params.yaml) and the values they take at its low and its high level. Factors
without a generator are crossed in full; a generated one is high where an even number of its generators is low, which
aliases it with their interaction (Box, Hunter, Hunter: Statistics for Experimenters, chapter 6).
"""

import copy
import dataclasses
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pipeline.config.digests import value_sha256
from pipeline.config.settings import Settings, SyntheticSettings, settings_from
from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml
from yolox_core.errors import InputError, nearest, sentence

Level = Literal["low", "high"]
LEVELS: tuple[Level, Level] = ("low", "high")
KEYS = {"question", "metric", "seeds", "factors", "generators", "extra", "data", "test_sizes", "base"}
NAME = re.compile(r"[\w.-]+")  # files are named after data sets
OPTIONAL = {"generators", "extra", "test_sizes"}


@dataclass(frozen=True)
class Run:
    """One training of a study."""

    data: str
    cell: Mapping[str, Level]  # of every factor
    seed: int
    params: Mapping[str, Any]  # as params.yaml
    test_sizes: tuple[int, ...] = ()  # px; also measured at these

    @property
    def key(self) -> str:
        """What tells this run from all others of its study: data, levels in the order of the factors, seed."""
        return f"{self.data}/{letters(self.cell)}/{self.seed}"

    @property
    def digest(self) -> str:
        """What tells its parameters from those of another version of the study."""
        return value_sha256(self.params)[:16]

    @property
    def settings(self) -> Settings:
        return settings_from(self.params)


@dataclass(frozen=True)
class DataChoice:
    """Which images of a data set a study takes."""

    one_object: bool = False  # trained and measured on images of exactly one object; the others are measured apart
    folds: int = 5  # seed s is measured on fold s of so many and trained on the others
    synthetic: SyntheticSettings | None = None  # rendered scenes; otherwise a folder is named where the study is run


@dataclass(frozen=True)
class Study:
    """A study as its YAML file states it; checked."""

    name: str  # of its file
    question: str
    metric: str
    factors: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]  # name -> parameters at low, at high
    generators: Mapping[str, tuple[str, ...]]
    extra: tuple[Mapping[str, Level], ...]  # cells beside the factorial
    seeds: tuple[int, ...]
    data: Mapping[str, DataChoice]
    test_sizes: tuple[int, ...]
    base: Mapping[str, Any]

    def choice_digest(self, data: str) -> str:
        """What tells how images are chosen, and measured, from another version of the study."""
        told = [dataclasses.asdict(self.data[data]), list(self.test_sizes)]
        return value_sha256(told)[:16]

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
            Run(data, cell, seed, self.params(cell, seed), self.test_sizes)
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


def letters(cell: Mapping[str, Level]) -> str:
    """A cell in short: l or h for each factor, in the study's order."""
    return "".join(level[0] for level in cell.values())


def read_study(path: Path) -> Study:
    """The study of a YAML file. InputError on what it does not know, before anything runs."""
    try:
        plain = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise InputError(f"{path}: no such study ({missing.strerror}).") from missing
    except YAML_ERRORS as broken:
        raise InputError(f"{path}: not YAML: {sentence(broken)}") from broken
    if not isinstance(plain, dict):
        raise InputError(f"{path}: expected a mapping with {', '.join(sorted(KEYS))}.")
    try:
        study = _study(path.stem, plain)
        for run in study.plan():
            _ = run.settings  # an illegal factor, or a misspelled parameter
    except InputError as wrong:
        raise InputError(f"{path}: {wrong}") from wrong
    return study


def _study(name: str, plain: Mapping[str, Any]) -> Study:
    for key in plain:
        if key not in KEYS:
            raise InputError(f"expected one of {', '.join(sorted(KEYS))}, got {key!r}. {nearest(str(key), KEYS)}")
    for key in sorted(KEYS - OPTIONAL - set(plain)):
        raise InputError(f"{key}: missing.")
    factors = {str(at): _factor(str(at), levels) for at, levels in _mapping(plain, "factors").items()}
    generators = {str(to): tuple(parents) for to, parents in (plain.get("generators") or {}).items()}
    for to, parents in generators.items():
        for parent in (to, *parents):
            if parent not in factors or (parent in generators) != (parent == to):
                raise InputError(f"generators.{to}: expected factors that have no generator, got {parent!r}.")
    seeds = _once(plain, "seeds", "seeds")
    data = {str(at): _choice(str(at), choice or {}) for at, choice in _mapping(plain, "data").items()}
    for at in data:
        if not NAME.fullmatch(at):
            raise InputError(f"data: expected names of letters, digits, '_', '.' and '-', got {at!r}.")
    extra = tuple(_cell(cell, factors) for cell in plain.get("extra", []))
    sizes = _once(plain, "test_sizes", "multiples of 32 px") if "test_sizes" in plain else ()
    if any(size < 32 or size % 32 for size in sizes):
        raise InputError(f"test_sizes: expected multiples of 32 px, got {plain['test_sizes']!r}.")
    return Study(
        name=name,
        question=str(plain["question"]),
        metric=str(plain["metric"]),
        factors=factors,
        generators=generators,
        extra=extra,
        seeds=seeds,
        data=data,
        test_sizes=sizes,
        base=_mapping(plain, "base"),
    )


def _once(plain: Mapping[str, Any], key: str, what: str) -> tuple[int, ...]:
    given = plain[key]
    whole = isinstance(given, list) and all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    if not whole or not given or len(set(given)) != len(given):
        raise InputError(f"{key}: expected a list of {what}, at least one, each once, got {given!r}.")
    return tuple(given)


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
    given = dict(choice)
    if given.get("synthetic") is not None:
        given["synthetic"] = settings_from({"data": {"synthetic": given["synthetic"]}}).data.synthetic
    made = DataChoice(**given)
    if not isinstance(made.one_object, bool):
        raise InputError(f"data.{name}.one_object: expected true or false, got {made.one_object!r}.")
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
