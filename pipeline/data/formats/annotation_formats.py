"""The list of annotation formats: how each is recognized and read and, where it can be, written.

To add one, put its reader into a file of its own beside this one, and an entry here: messages, the command line's help
and the checks follow. An entry imports its reader when it is used, so that naming the formats costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.data.parsing.text import shown
from yolox_core.errors import InputError, nearest

if TYPE_CHECKING:  # these load PyTorch, which `yolox --help` can do without
    from pipeline.data.parsing.findings import Finding
    from pipeline.data.parsing.folder_listing import Listing
    from yolox_core.data.records import DatasetRecords

AUTO = "auto"  # whichever format the folder holds


class Reader(Protocol):
    """What the module of a format offers."""

    def annotation_files(self, listing: "Listing", /) -> list[str]:
        """The folder's files of this format, by a look into them."""

    def read(self, listing: "Listing", files: list[str], /) -> "tuple[DatasetRecords, list[Finding]]":
        """All annotated images of these files, and what could not be read."""


@dataclass(frozen=True)
class Candidates:
    """The files of one format in a folder, and how they are read."""

    files: list[str]
    read: "Callable[[], tuple[DatasetRecords, list[Finding]]]"
    broken: "list[Finding]" = field(default_factory=list)  # could not be opened, and may have been of this format


@dataclass(frozen=True)
class AnnotationFormat:
    """One format: its name and files for messages, and its functions."""

    files: str
    find: "Callable[[Listing], Candidates]"
    write: "Callable[[DatasetRecords, Path], list[Finding]] | None" = None  # all but images/; what was left out
    of_a_tool: bool = False  # looked for after the others: a labelling tool leaves its files beside its exports


def _candidates(reader: Reader, listing: "Listing") -> Candidates:
    files = reader.annotation_files(listing)
    return Candidates(files, lambda: reader.read(listing, files))


def _find_coco(listing: "Listing") -> Candidates:
    from pipeline.data.formats import coco_folder

    documents, broken = coco_folder.documents(listing)
    return Candidates(list(documents), lambda: coco_folder.read(listing, documents), broken)


def _write_coco(records: "DatasetRecords", folder: Path) -> "list[Finding]":
    from pipeline.data.coco.coco import write_coco
    from pipeline.data.formats.image_sizes import with_own_sizes

    write_coco(with_own_sizes(records), folder / "annotations.json")
    return []


def _find_voc(listing: "Listing") -> Candidates:
    from pipeline.data.formats import voc

    return _candidates(voc, listing)


def _find_yolo(listing: "Listing") -> Candidates:
    from pipeline.data.formats import yolo

    return _candidates(yolo, listing)


def _write_yolo(records: "DatasetRecords", folder: Path) -> "list[Finding]":
    from pipeline.data.formats.yolo_writer import write_yolo

    return write_yolo(records, folder)


def _find_csv(listing: "Listing") -> Candidates:
    from pipeline.data.formats import csv_table

    return _candidates(csv_table, listing)


def _find_labelme(listing: "Listing") -> Candidates:
    from pipeline.data.formats import labelme

    return _candidates(labelme, listing)


def _find_label_studio(listing: "Listing") -> Candidates:
    from pipeline.data.formats import label_studio

    return _candidates(label_studio, listing)


def _find_cvat(listing: "Listing") -> Candidates:
    from pipeline.data.formats import cvat

    return _candidates(cvat, listing)


def _find_imagefolder(listing: "Listing") -> Candidates:
    from pipeline.data.formats import imagefolder

    return _candidates(imagefolder, listing)


ANNOTATION_FORMATS: dict[str, AnnotationFormat] = {
    "coco": AnnotationFormat("COCO (*.json with images, annotations and categories)", _find_coco, _write_coco),
    "voc": AnnotationFormat("Pascal VOC (*.xml with <annotation>)", _find_voc),
    "yolo": AnnotationFormat("YOLO (*.txt in labels/ or beside images)", _find_yolo, _write_yolo),
    "csv": AnnotationFormat("CSV (*.csv with columns for image, class and box)", _find_csv, of_a_tool=True),
    "labelme": AnnotationFormat("LabelMe (*.json with shapes)", _find_labelme, of_a_tool=True),
    "label_studio": AnnotationFormat("Label Studio (*.json with a list of tasks)", _find_label_studio, of_a_tool=True),
    "cvat": AnnotationFormat("CVAT (*.xml with <annotations>)", _find_cvat, of_a_tool=True),
    "imagefolder": AnnotationFormat(
        "Hugging Face imagefolder (metadata.jsonl or metadata.csv with file_name and objects)",
        _find_imagefolder,
        of_a_tool=True,
    ),
}
NAMES = (AUTO, *ANNOTATION_FORMATS)
WRITABLE = {name: one.write for name, one in ANNOTATION_FORMATS.items() if one.write is not None}


def check_format(name: str, where: str) -> None:
    """InputError where `name`, written at `where`, is neither a format nor `auto`."""
    if name not in NAMES:
        raise InputError(f"{where}: expected one of {', '.join(NAMES)}, got {shown(name)}. {nearest(name, NAMES)}")
