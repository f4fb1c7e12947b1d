"""Several data sets as one: classes under common names, images in a folder for each, ids of their own.

Classes are matched by their exact names. Names that differ only in case, blanks, hyphens or underscores are most
likely one class; they are refused with the class map that makes them one, or keeps them apart.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.data.parsing.findings import Finding
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError, nearest


@dataclass(frozen=True)
class Part:
    """One data set of several. `name` is the folder of its images; empty where it is the only one."""

    name: str
    records: DatasetRecords
    meant: frozenset[str] = frozenset()  # class names that are meant just so, however near others are

    def named(self, finding: Finding) -> Finding:
        """The finding, saying which data set it is of."""
        return replace(finding, where=f"{self.name}: {finding.where}") if self.name else finding


def with_classes(records: DatasetRecords, classes: Mapping[str, str | None], where: str) -> DatasetRecords:
    """Classes under other names: several may get one name; boxes of a class whose name is None are dropped."""
    if not classes:
        return records
    names = records.class_names
    unknown = next((name for name in classes if name not in names), None)
    if unknown is not None:
        raise InputError(f"{where}: classes: no class is called {unknown!r}. {nearest(unknown, names)}")
    kept: dict[str, Category] = {}  # our name -> under the first id that it had
    for category in records.categories:
        ours = classes.get(category.name, category.name)
        if ours is not None:
            kept.setdefault(ours, Category(category.category_id, ours))
    if not kept:
        raise InputError(f"{where}: classes: expected at least one class to stay, got null for all of them.")
    order = {name: position for position, name in enumerate(kept)}
    new_labels = [order.get(ours, -1) if (ours := classes.get(name, name)) is not None else -1 for name in names]
    images = [_relabelled(image, new_labels) for image in records.images]
    return replace(records, categories=tuple(kept.values()), images=images)


def merge(parts: Sequence[Part], image_root: Path) -> DatasetRecords:
    """All parts, for images that lie at `image_root`/<part's name>/<file name>; one part alone stays as it is."""
    if len(parts) == 1:
        return replace(parts[0].records, image_root=image_root)
    categories = _categories(parts)
    position = {category.name: label for label, category in enumerate(categories)}
    images: list[ImageRecord] = []
    for part in parts:
        new_labels = [position[name] for name in part.records.class_names]
        for image in part.records.images:
            named = replace(
                image,
                image_id=len(images) + 1,
                file_name=f"{part.name}/{image.file_name}",
                annotation=f"{part.name}: {image.annotation}" if image.annotation else "",
            )
            images.append(_relabelled(named, new_labels))
    return DatasetRecords(image_root, categories, images)


def _relabelled(image: ImageRecord, new_labels: Sequence[int]) -> ImageRecord:
    """Labels by a table from old to new; objects whose new label is negative are left out."""
    labels_G = np.asarray([*new_labels, -1], np.int64)[image.objects.labels_G]
    return replace(image, objects=image.objects.labelled(labels_G)[labels_G >= 0])


def _categories(parts: Sequence[Part]) -> tuple[Category, ...]:
    """Every class once: under its id where all parts agree on the ids, else numbered from 1 in order of appearance."""
    _refuse_near_names(parts)
    every = {category: None for part in parts for category in part.records.categories}  # in order
    names = {category.name: None for category in every}
    if len(every) == len(names) == len({category.category_id for category in every}):
        return tuple(sorted(every, key=lambda category: category.category_id))
    return tuple(Category(number, name) for number, name in enumerate(names, 1))


def _refuse_near_names(parts: Sequence[Part]) -> None:
    near: dict[str, dict[str, Part]] = defaultdict(dict)  # simplified name -> its spellings, and who first has them
    for part in parts:
        for name in part.records.class_names:
            if name not in part.meant:
                near[re.sub(r"[\s_-]+", "", name.casefold())].setdefault(name, part)
    for spellings in near.values():
        (one, first), *others = spellings.items()
        other, second = next(((name, part) for name, part in others if part is not first), (None, None))
        if other is not None and second is not None:
            raise InputError(
                f"data.source: expected one spelling of a class, got {one!r} in {first.name} and {other!r} in "
                f"{second.name}. Write classes: {{{other!r}: {one!r}}} for {second.name} if they are one class, or "
                f"classes: {{{other!r}: {other!r}}} if they are two."
            )
