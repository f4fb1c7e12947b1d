"""The door to every format: looks at a folder, decides what it holds, and reads it.

Problems of single annotations come back as findings beside the rest; only what leaves nothing to read is an error.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from yolox_core.datasets import coco_folder, voc, yolo_txt
from yolox_core.datasets.listing import Listing
from yolox_core.datasets.records import DatasetRecords, Finding, ImageRecord
from yolox_core.errors import InputError, nearest

FORMATS = ("auto", "coco", "voc", "yolo")
LOOKED_FOR = {
    "coco": "COCO (*.json with images, annotations and categories)",
    "voc": "Pascal VOC (*.xml with <annotation>)",
    "yolo": "YOLO (*.txt in labels/ or beside images)",
}
Read = tuple[DatasetRecords, list[Finding]]


def read_dataset(path: Path, format: str = "auto") -> Read:
    """The annotated images under `path` and what could not be read; InputError where there is nothing to read."""
    if format not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}. {nearest(format, FORMATS)}")
    listing = Listing.of(path)
    documents, broken = coco_folder.documents(listing) if format in ("auto", "coco") else ({}, [])
    xml = voc.annotation_files(listing) if format in ("auto", "voc") else []
    labels = yolo_txt.label_files(listing) if format in ("auto", "yolo") else []
    readers: dict[str, tuple[list[str], Callable[[], Read]]] = {
        "coco": (list(documents), lambda: coco_folder.read(listing, documents)),
        "voc": (xml, lambda: voc.read(listing, xml)),
        "yolo": (labels, lambda: yolo_txt.read(listing, labels)),
    }
    seen = {name: files for name, (files, _) in readers.items() if files}
    if not seen:
        raise _nothing(listing, format, broken)
    if len(seen) > 1:
        each = " and ".join(f"{name} ({files[0]} and {len(files) - 1} more)" for name, files in seen.items())
        raise InputError(f"{path}: expected one format, got {each}. Say which with data.format or --format.")
    (name,) = seen
    records, findings = readers[name][1]()
    if not records.images:
        first = f" First: {findings[0].line()}" if findings else ""
        raise InputError(
            f"{path}: expected annotated images, got none of {len(seen[name])} {name} files usable.{first}"
        )
    return _normalised(records), broken + findings if name == "coco" else findings


def _nothing(listing: Listing, format: str, broken: list[Finding]) -> InputError:
    wanted = [text for name, text in LOOKED_FOR.items() if format in ("auto", name)]
    unreadable = f", unreadable: {broken[0].where}" if broken else ""
    return InputError(
        f"{listing.root}: expected annotations, found {listing.describe()}{unreadable}. Looked for {'; '.join(wanted)}."
    )


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
    if len(own) == len(images) and min(own) >= 0:
        return images
    return [replace(record, image_id=number) for number, record in enumerate(images, 1)]
