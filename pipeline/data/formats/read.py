"""The door to every format: looks at a folder, decides what it holds, and reads it.

Problems of single annotations come back as findings beside the rest; only what leaves nothing to read is an error.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.checks.alike_findings import dropped, merged
from pipeline.data.checks.required_boxes import cause, has_box
from pipeline.data.formats.annotation_formats import ANNOTATION_FORMATS, AUTO, Candidates, check_format
from pipeline.data.formats.near_misses import near_misses
from pipeline.data.formats.unread_formats import unread_format
from pipeline.data.parsing.box_builder import LARGEST
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.left_out import unread
from pipeline.data.parsing.text import shown
from yolox_core.data.records import LARGEST_ID, DatasetRecords, ImageRecord
from yolox_core.errors import InputError

FURTHEST = LARGEST / 2  # px; a box from one end to the other is then at most LARGEST wide
_NEAREST = 3  # files that a refusal names
Read = tuple[DatasetRecords, list[Finding]]


def read_dataset(path: Path, format: str = AUTO, encoding: str | None = None, called: str = "") -> Read:
    """The annotated images under `path` and what could not be read; InputError where there is nothing to read.

    `encoding` is that of texts that are not UTF-8 and do not say what they are; None: they are refused.
    `called` is what the folder is in messages, where it is a copy of ours.
    """
    check_format(format, "format")
    listing = Listing.of(path, encoding, called)
    broken: list[Finding] = []
    wanted = {name: one for name, one in ANNOTATION_FORMATS.items() if format in (AUTO, name)}
    for of_a_tool in (False, True):
        looked = {name: one.find(listing) for name, one in wanted.items() if one.of_a_tool is of_a_tool}
        broken += [finding for found in looked.values() for finding in found.broken]
        seen = {name: found for name, found in looked.items() if found.files}
        if seen:
            return _read(listing, seen)
    raise _nothing(listing, format, broken)


def _first(files: Sequence[str]) -> str:
    """`a.xml and 2 more`; one alone by its name."""
    return f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]


def _read(listing: Listing, seen: dict[str, Candidates]) -> Read:
    if len(seen) > 1:
        each = " and ".join(f"{name} ({_first(found.files)})" for name, found in seen.items())
        raise InputError(f"{listing.shown()}: expected one format, got {each}. Say which with data.format or --format.")
    ((name, found),) = seen.items()
    records, findings = found.read()
    records, wild = _without_wild_boxes(records)
    findings = merged(found.broken + findings + wild + _special(listing), records)
    if not records.images:
        raise InputError(
            f"{listing.shown()}: expected annotated images, got none of {len(found.files)} {name} files usable."
            f"{cause(findings)}"
        )
    if dropped(findings) and not any(map(has_box, records.images)):
        raise _not_read(listing) or InputError(
            f"{listing.shown()}: expected boxes, got {len(found.files)} {name} files without one that can be used."
            f"{cause(findings)}"
        )
    return _normalised(records), findings + unread(listing)


def _special(listing: Listing) -> list[Finding]:
    """One finding for each pipe, socket and the like among the files; none of them is ever opened."""
    what = "expected a file, got a pipe, socket, device, link to itself or empty folder"
    return [Finding("not-a-file", name, what, "left out") for name in listing.special]


def _not_read(listing: Listing) -> InputError | None:
    """What to say of a folder whose files are of a format that is known and not read; None of any other."""
    unread = unread_format(listing)
    if unread is None:
        return None
    one, name = unread
    read = ", ".join(ANNOTATION_FORMATS)
    return InputError(
        f"{listing.shown()}: {name}: expected a format that is read ({read}), got {one.name}. {one.advice}"
    )


def _nothing(listing: Listing, format: str, broken: list[Finding]) -> InputError:
    unread = _not_read(listing)
    if unread is not None:
        return unread
    wanted = [one.files for name, one in ANNOTATION_FORMATS.items() if format in (AUTO, name)]
    nearest = [f"{finding.where}: {finding.what}" for finding in broken] + near_misses(listing)
    near = "".join(f" {miss}." for miss in nearest[:_NEAREST])
    return InputError(
        f"{listing.shown()}: expected annotations, found {listing.describe()}.{near} Looked for {'; '.join(wanted)}."
    )


def _without_wild_boxes(records: DatasetRecords) -> tuple[DatasetRecords, list[Finding]]:
    """Leave out boxes too far away for our own files: sums and shares of numbers that pass may reach there."""
    images, findings = [], []
    for record in records.images:
        boxes_G4 = record.objects.boxes_G4
        near_G = np.abs(boxes_G4).max(axis=1, initial=0) <= FURTHEST
        if not near_G.all():
            for number in np.flatnonzero(~near_G):
                what = f"expected coordinates within {FURTHEST:g} px, got {shown(boxes_G4[number].tolist())}"
                where = f"{record.annotation or record.file_name}: object {number + 1}"
                findings.append(Finding("box-not-finite", where, what, "box dropped"))
            record = replace(record, objects=record.objects[near_G])
        images.append(record)
    return replace(records, images=images), findings


def _normalised(records: DatasetRecords) -> DatasetRecords:
    """File names relative to the images' common folder, in their order, with an id of its own for each image."""
    folders = [str(PurePosixPath(record.file_name).parent) for record in records.images]
    common = os.path.commonpath(folders)
    prefix = "" if common in ("", ".") else f"{common}/"
    images = sorted(
        (replace(record, file_name=record.file_name.removeprefix(prefix)) for record in records.images),
        key=lambda record: record.file_name,
    )
    return DatasetRecords(records.image_root / common, records.categories, _with_ids(images))


def _with_ids(images: list[ImageRecord]) -> list[ImageRecord]:
    """The data set's own ids where each is a whole number used once; else 1, 2, 3 ... in order."""
    own = {record.image_id for record in images}
    if len(own) == len(images) and min(own) >= 0 and max(own) <= LARGEST_ID:
        return images
    return [replace(record, image_id=number) for number, record in enumerate(images, 1)]
