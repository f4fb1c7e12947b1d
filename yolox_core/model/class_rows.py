"""Which rows of the class layers are taken from other weights: those of classes with the same name."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from yolox_core.config import BY_POSITION
from yolox_core.errors import InputError

_PLACEHOLDER = re.compile(r"class_\d+")  # what a class without a name is called
_SHOWN = 5  # names in a line


@dataclass(frozen=True)
class ClassRows:
    """Where each class's row comes from."""

    rows: Mapping[int, int]  # class of the model -> class of the weights
    names: Sequence[str]  # of the model's classes
    theirs: Sequence[str]  # of the weights' classes
    why: str = ""  # no row is taken

    def taken(self, given: Tensor, own: Tensor) -> Tensor:
        """A class layer's weight or bias [classes, ...]: rows of `given` where there are any, else those of `own`."""
        mixed = own.detach().clone()
        mixed[list(self.rows)] = given[list(self.rows.values())].to(mixed)
        return mixed

    def to_dict(self) -> dict[str, Any]:
        """For the run's summary."""
        return {"taken": {self.names[own]: self.theirs[row] for own, row in self.rows.items()}, "why_none": self.why}

    def line(self) -> str:
        """One readable line."""
        if not self.rows:
            return f"class layers start fresh: {self.why}"
        pairs = ((self.names[own], self.theirs[row]) for own, row in self.rows.items())
        taken = [own if own == their else f"{own} (there {their})" for own, their in pairs]
        fresh = [name for own, name in enumerate(self.names) if own not in self.rows]
        unused = len(self.theirs) - len(set(self.rows.values()))
        parts = [
            f"taken {_some(taken)}",
            f"fresh {_some(fresh)}" if fresh else "",
            f"{unused} unused" if unused else "",
        ]
        return f"class layers: {'; '.join(filter(None, parts))}"


def class_rows_of(names: Sequence[str] | None, theirs: Sequence[str], count: int, how: str | None) -> ClassRows:
    """Rows for a model of `count` classes called `names`, from weights with classes called `theirs`.

    By name, in exactly its spelling, else in any case where that is not ambiguous; none where one side has no names.
    `names` is None where nobody says: as many classes as the weights have are then the same.
    InputError where rows are to be taken by position and the numbers of classes differ.
    """
    known = list(names or (f"class_{index}" for index in range(count)))
    if names is None and len(theirs) == count and how is None:
        known, how = list(theirs), BY_POSITION
    if how == BY_POSITION:
        if len(theirs) != count:
            raise InputError(
                f"model.class_rows: expected as many classes as the weights have for {BY_POSITION}, {len(theirs)}, "
                f"got {count}. Set it to null: rows are then taken by name."
            )
        return ClassRows({index: index for index in range(count)}, known, theirs)
    for whose, side in (("the data", known), ("the weights", theirs)):
        if all(map(_PLACEHOLDER.fullmatch, side)):
            return ClassRows(
                {}, known, theirs, f"{whose} have no class names; model.class_rows: {BY_POSITION} takes all"
            )
    rows = _by_name(known, theirs)
    return ClassRows(
        rows, known, theirs, "" if rows else f"no class of the data is one of the weights: {_some(theirs)}"
    )


def _by_name(names: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    exact = {name: row for row, name in enumerate(theirs)}
    folded_names, folded_theirs = [_folded(name) for name in names], [_folded(name) for name in theirs]
    rows: dict[int, int] = {}
    for own, name in enumerate(names):
        folded = folded_names[own]
        if name in exact:
            rows[own] = exact[name]
        elif folded_names.count(folded) == folded_theirs.count(folded) == 1:
            rows[own] = folded_theirs.index(folded)
    return rows


def _folded(name: str) -> str:
    composed = unicodedata.normalize("NFKC", name)  # macOS takes names apart: e and an accent for é
    return " ".join(re.split(r"[\s_-]+", composed.casefold().strip()))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
