"""Which images train and which are held out, as files, with a digest that names exactly this data: data/prepared.

split.py holds the rules of the split, repeat_factors.py how often an image is shown; here they meet what validate
found, and the manifest says what came of it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config import paths
from pipeline.config.digests import text_sha256
from pipeline.config.settings import SplitSettings
from pipeline.data.checks.duplicate_findings import groups_of
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.parsing.split_names import SPLITS
from pipeline.data.prepare.repeat_factors import balanced
from pipeline.data.prepare.split import split, split_fold
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.data.records import DatasetRecords, ImageRecord, described
from yolox_core.errors import InputError

# not the training seed: runs that differ in it alone are compared on the same test images
SPLIT_SEED = 0
DIGEST_LENGTH = 32  # MLflow takes at most 36 characters


def prepare(shares: SplitSettings) -> dict[str, Any]:
    """Write data/prepared: train.json, val.json, test.json, manifest.json; all of it or nothing.

    Returns the manifest.
    """
    valid = read_coco(paths.VALID_ANNOTATIONS, paths.RAW_IMAGES)
    digests, alike = _digests(valid), _similar()
    val, seed = shares.val, SPLIT_SEED
    if shares.folds is None:
        chosen = split(valid, digests, val=val, test=shares.test, seed=seed, honour=shares.honour, alike=alike)
    else:
        chosen = split_fold(valid, digests, shares.folds, shares.fold, val=val, seed=seed, alike=alike)
    parts = {
        name: replace(valid, images=[replace(valid.images[index], split=name) for index in indices])
        for name, indices in chosen.items()
    }
    content = dict(zip([record.file_name for record in valid.images], digests, strict=True))
    given = parts["train"]
    drawn = [content[record.file_name] for record in given.images]
    parts["train"] = balanced(given, drawn, background=shares.background, rare=shares.rare, seed=SPLIT_SEED)
    _require_objects(parts)
    manifest = _manifest(valid, digests, parts)
    manifest["repeated"] = _repeated(parts["train"])
    manifest["similar_across_splits"] = _similar_across(alike, parts)
    with new_folder(paths.PREPARED) as folder:
        for name, part in parts.items():
            write_coco(part, folder / paths.prepared(name).name)
        write_json(folder / paths.MANIFEST.name, manifest)
    return manifest


def data_digest(parts: Mapping[str, DatasetRecords], content: Mapping[str, str]) -> str:
    """One name for the images, their objects and their split, whatever the order they came in."""
    lines = []
    for name, part in parts.items():
        lines += [f"{name}\t{_line(record, part, content)}" for record in part.images]
    return text_sha256("\n".join(sorted(lines)))[:DIGEST_LENGTH]


def _repeated(training: DatasetRecords) -> dict[str, int]:
    """How often those images are seen that are seen more than once."""
    times = Counter(record.file_name for record in training.images)
    return {name: count for name, count in sorted(times.items()) if count > 1}


def _similar_across(alike: Sequence[Sequence[str]], parts: Mapping[str, DatasetRecords]) -> list[Sequence[str]]:
    """Groups of images that validate found alike, on more than one side.

    Only told: the data set says so itself, or they are as many as of one fixed camera.
    """
    side = {record.file_name: name for name, part in parts.items() for record in part.images}
    return [group for group in alike if len({side.get(name) for name in group} - {None}) > 1]


def _similar() -> list[list[str]]:
    """Groups of images that validate found alike."""
    try:
        return groups_of(json.loads(paths.SIMILAR.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as broken:
        raise InputError(
            f"{paths.SIMILAR}: expected pairs of images, got {str(broken)[:100]}. Run `yolox validate` again."
        ) from broken


def _digests(valid: DatasetRecords) -> list[str]:
    """The content digest of each image, as validate found it."""
    try:
        digests = json.loads(paths.DIGESTS.read_text(encoding="utf-8"))
        return [str(digests[record.file_name]) for record in valid.images]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as broken:
        raise InputError(
            f"{paths.DIGESTS}: expected the sha256 of every image, got {str(broken)[:100]}. Run `yolox validate` again."
        ) from broken


def _line(record: ImageRecord, part: DatasetRecords, content: Mapping[str, str]) -> str:
    return f"{record.file_name}\t{content[record.file_name]}\t{described(record, part.class_names)}"


def _manifest(valid: DatasetRecords, digests: Sequence[str], parts: Mapping[str, DatasetRecords]) -> dict[str, Any]:
    content = {record.file_name: digest for record, digest in zip(valid.images, digests, strict=True)}
    used = {record.file_name for part in parts.values() for record in part.images}
    return {
        "data_digest": data_digest(parts, content),
        "images": {name: len(parts[name].images) for name in SPLITS},
        "boxes": {name: _boxes(parts[name]) for name in SPLITS},
        "class_names": list(valid.class_names),
        "category_ids": list(valid.category_ids),
        "left_out": sorted(set(content) - used),  # copies of held-out images, and background beyond its share
        "files": {name: content[name] for name in sorted(used)},
    }


def _boxes(part: DatasetRecords) -> dict[str, int]:
    labels = Counter(int(label) for record in part.images for label in record.objects.labels_G)
    return {name: labels[label] for label, name in enumerate(part.class_names)}


def _require_objects(parts: Mapping[str, DatasetRecords]) -> None:
    for name in ("train", "test"):
        if all(record.objects.ignore_G.all() for record in parts[name].images):
            raise InputError(
                f"data.split: expected objects in the {name} split, got {len(parts[name].images)} images without any. "
                "Add annotated images, or change data.split."
            )
