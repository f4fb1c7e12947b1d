"""A folder of COCO annotations: which JSON files count, which split each is, where its images lie.

Known layouts: Roboflow (train/_annotations.coco.json beside its images), COCO 2017 (annotations/instances_*.json),
CVAT (annotations/instances_default.json, images/), and a single JSON file anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from pipeline.data.coco import coco
from pipeline.data.coco.json_stream import Document, open_document
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.left_out import left_out
from pipeline.data.parsing.split_names import (
    held_out,
    split_of_file,
    split_of_folders,
    splits_by_words,
    splits_of_files,
)
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import IntArray, Objects

_SAID = 400  # characters of another's error
Documents = Mapping[str, Document]


def documents(listing: Listing) -> tuple[dict[str, Document], list[Finding]]:
    """The folder's COCO files by name. COCO itself has captions and key points of the same shape: instances win."""
    names = listing.ending(".json")
    for preferred in (_is_roboflow, _is_instances, lambda name: True):
        chosen = [name for name in names if preferred(name)]
        if chosen:
            break
    found: dict[str, Document] = {}
    findings: list[Finding] = []
    for name in chosen:
        try:
            document = open_document(listing.root / name, listing.encoding)
        except (OSError, ValueError, RecursionError, InputError) as broken:
            said = str(broken).removeprefix(f"{listing.root / name}: ")
            what = f"expected JSON, got an unreadable file: {said[:_SAID]}"
            findings.append(Finding("unreadable-annotation", name, what, "file left out"))
            continue
        if document is not None:
            found[name] = document
    return found, findings


def read(listing: Listing, found: Documents) -> tuple[DatasetRecords, list[Finding]]:
    """All images of the chosen files, with one list of categories."""
    splits = _splits(listing, found)
    findings: list[Finding] = []
    categories = _shared_categories(found, findings)
    images: list[ImageRecord] = []
    for name, document in found.items():
        own, records, wrong = coco.parse(document, name, partial(listing.locate, name), splits[name])
        position = _positions(own, categories)
        images += _relabelled(records, position)
        findings += wrong
    images, twice = _once_each(_split_by_folders(listing, found, images))
    findings += twice
    named = {record.file_name for record in images}
    findings += left_out(listing, named, "an image entry with its name")
    categories, images = _without_umbrella(categories, images, found)
    return DatasetRecords(listing.root, categories, images), findings


def _once_each(images: list[ImageRecord]) -> tuple[list[ImageRecord], list[Finding]]:
    """One record for each file: entries that name the same one are joined, on the side that is held out furthest."""
    of_name: dict[str, ImageRecord] = {}
    findings = []
    same: list[tuple[str, str]] = []  # entries of two files that say the same
    for record in images:
        first = of_name.setdefault(record.file_name, record)
        if first is record:
            continue
        split = max(first.split, record.split, key=held_out)
        new = _not_in(record.objects, first.objects)
        of_name[record.file_name] = replace(first, split=split, objects=Objects.joined((first.objects, new)))
        if not len(new) and len(record.objects) == len(first.objects):
            same.append((record.annotation, first.annotation))
            continue
        what = f"{record.file_name} has an entry already, {first.annotation}"
        findings.append(Finding("duplicate-image-entry", record.annotation, what, f"boxes joined, split {split}"))
    return list(of_name.values()), findings + _note_same(same)


def _not_in(objects: Objects, others: Objects) -> Objects:
    """Those of the objects that are not among the others."""
    known = {(tuple(box), label, ignore) for box, label, ignore in others.rows()}
    return objects[np.array([(tuple(box), *kind) not in known for box, *kind in objects.rows()], np.bool_)]


def _note_same(same: Sequence[tuple[str, str]]) -> list[Finding]:
    """One finding of all images that have the same boxes in two entries."""
    if not same:
        return []
    files, others = (
        ", ".join(sorted({where.partition(": ")[0] for where in side})) for side in zip(*same, strict=True)
    )
    what = f"{len(same)} images have the same boxes in {others}"
    return [Finding("same-in-two-files", files, what, "each counted once")]


def _is_roboflow(name: str) -> bool:
    return name.endswith("_annotations.coco.json")


def _is_instances(name: str) -> bool:
    return PurePosixPath(name).name.startswith("instances")


def _splits(listing: Listing, found: Documents) -> Mapping[str, str | None]:
    """The split of each file, a single one is none; InputError where several files do not say which they are."""
    if len(found) > 1 and not all(map(split_of_file, found)):
        names = ", ".join(found)
        raise InputError(
            f"{listing.shown()}: expected one COCO file, or one for each of train, val and test, got {names}. "
            "Remove those that are not meant, or name them by their split."
        )
    return splits_of_files(found)


def _split_by_folders(listing: Listing, found: Documents, images: list[ImageRecord]) -> list[ImageRecord]:
    """The images of a single file by their folders, where neither an entry nor we ourselves said otherwise."""
    name = next(iter(found))
    if len(found) > 1 or any(image.split for image in images) or coco.is_own(listing.root / name):
        return images
    words = splits_by_words({image.file_name: split_of_folders(image.file_name) for image in images})
    return [replace(image, split=words[image.file_name]) for image in images]


def _shared_categories(found: Documents, findings: list[Finding]) -> tuple[Category, ...]:
    """Every file's categories in one list, by name: under their ids where all files agree on them, else from 1 on."""
    every = dict.fromkeys(
        category for name, document in found.items() for category in coco.parse_categories(document.categories, name)
    )
    names = dict.fromkeys(category.name for category in every)
    if len(every) == len(names) == len({category.category_id for category in every}):
        return tuple(sorted(every, key=lambda category: category.category_id))
    what = f"expected one id for each class in all files, got others in {' and '.join(found)}"
    findings.append(Finding("category-ids-differ", next(iter(found)), what, "classes joined by name, ids from 1"))
    return tuple(Category(number, name) for number, name in enumerate(names, 1))


def _positions(own: tuple[Category, ...], shared: tuple[Category, ...]) -> IntArray:
    """Where each category of `own` stands in `shared`, by its name; -1 where it does not."""
    place = {category.name: position for position, category in enumerate(shared)}
    return np.asarray([place.get(category.name, -1) for category in own], np.int64)


def _without_umbrella(
    categories: tuple[Category, ...], images: list[ImageRecord], found: Documents
) -> tuple[tuple[Category, ...], list[ImageRecord]]:
    """Leave out a category that only names the group of the others, as Roboflow's exports begin with."""
    entries = [entry for document in found.values() for entry in document.categories]
    # a category may stand above itself (cat: cat); that is a class even without objects
    above = [(entry.get("supercategory"), entry["name"]) for entry in entries]
    parents = {parent for parent, name in above if isinstance(parent, str) and parent != name}
    used = {int(label) for record in images for label in record.objects.labels_G}
    kept = [label for label, category in enumerate(categories) if label in used or category.name not in parents]
    if len(kept) == len(categories) or not kept:
        return categories, images
    left = tuple(categories[label] for label in kept)
    position = _positions(categories, left)
    return left, _relabelled(images, position)


def _relabelled(images: list[ImageRecord], position: IntArray) -> list[ImageRecord]:
    """Labels by a table from old to new."""
    return [replace(image, objects=image.objects.labelled(position[image.objects.labels_G])) for image in images]
