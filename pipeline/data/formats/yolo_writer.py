"""Writing a data set as YOLO: labels/ beside images/, data.yaml, and a list of images for each split.

Other YOLO tools read it, too; some want a `train` and a `val` split in data.yaml. What YOLO has no words for, the ids
of categories and images, stands there under a key of our own, by which COCO comes back as it was. Copying the images
into images/ is the caller's part.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.data.formats import yolo_ids
from pipeline.data.formats.image_sizes import with_own_sizes
from pipeline.data.formats.yolo import label_path
from pipeline.data.parsing import yaml_text
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.split_names import SPLITS
from pipeline.data.parsing.text import first_double
from yolox_core.atomic_files import write_text
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError

_DIGITS = 10  # of a share: 2e-6 px in an image of 20,000 px


def write_yolo(records: DatasetRecords, folder: Path) -> list[Finding]:
    """Fill `folder` with everything but the images, which belong under images/ by their names.

    Returns what YOLO cannot say, and is left out. InputError where two images would share a label file.
    """
    _check_names(records)
    findings: list[Finding] = []
    for record in with_own_sizes(records).images:
        lines = "".join(_lines(record, findings))
        write_text(folder / label_path(_place(record)), lines)
    document: dict[str, object] = {}
    for split in SPLITS:
        listed = [f"./{_place(record)}\n" for record in records.images if record.split == split]
        if listed:
            write_text(folder / f"{split}.txt", "".join(listed))
            document[split] = f"{split}.txt"
    document["names"] = dict(enumerate(records.class_names))
    image_ids = {_place(record): record.image_id for record in records.images}
    document[yolo_ids.KEY] = yolo_ids.section(records.category_ids, image_ids)
    write_text(folder / "data.yaml", yaml_text.dump(document))
    return findings


def _place(record: ImageRecord) -> str:
    return f"images/{record.file_name}"


def _check_names(records: DatasetRecords) -> None:
    """InputError where a name cannot stand in a list, or two images differ in their suffix alone."""
    seen: dict[str, str] = {}
    double = first_double([record.file_name for record in records.images])
    if double is not None:
        raise InputError(f"{records.image_root}: expected one entry for each image, got {double} twice. Join them.")
    for record in records.images:
        name = record.file_name
        if any(sign in name for sign in "\n\r\\"):
            raise InputError(f"{name!r}: expected a name without line breaks and backslashes. Rename the image.")
        other = seen.setdefault(label_path(_place(record)), name)
        if other != name:
            raise InputError(
                f"{records.image_root}: expected images of different names, got {other} and {name}, whose labels "
                "would be one file. Rename one."
            )


def _lines(record: ImageRecord, findings: list[Finding]) -> Iterator[str]:
    """`class cx cy width height` as shares of the image's size, a line an object."""
    where = record.annotation or record.file_name
    count = len(record.objects)
    if count and min(record.height, record.width) <= 0:
        what = "expected an image whose size is known, for boxes in shares of it"
        findings.append(Finding("unreadable-image", where, what, f"its {count} boxes left out"))
        return
    for number, (shares, (_, label, ignore)) in enumerate(zip(_shares(record), record.objects.rows(), strict=True), 1):
        place = f"{where}: object {number}"
        if ignore:
            what = "expected a single object, got a crowd, for which YOLO has no word"
            findings.append(Finding("crowd-not-said", place, what, "box left out"))
        elif not np.isfinite(shares).all():
            findings.append(Finding("box-not-finite", place, "expected finite numbers, got others", "box left out"))
        else:
            if shares.min() < 0 or shares.max() > 1:
                what = "expected shares from 0 to 1, got a box beyond its image, which other tools may refuse"
                findings.append(Finding("box-beyond-image", place, what, "kept"))
            yield f"{label} {' '.join(f'{share:.{_DIGITS}f}' for share in shares.tolist())}\n"


def _shares(record: ImageRecord) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[G, 4] centre x, centre y, width, height as shares of the image's size; in double precision."""
    x1, y1, x2, y2 = record.objects.boxes_G4.astype(np.float64).T
    width, height = max(record.width, 1), max(record.height, 1)
    return np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], axis=1)
