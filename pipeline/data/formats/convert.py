"""A folder of annotated images written in another format, with copies of the images. The source is only read.

Which formats can be written stands in annotation_formats.py; what a format cannot say becomes findings.
"""

from pathlib import Path

from pipeline.config.user_paths import user_path
from pipeline.data.checks.required_boxes import require_boxes
from pipeline.data.formats.annotation_formats import WRITABLE
from pipeline.data.formats.copy_images import check_new, copy_images
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from yolox_core.atomic_files import new_folder
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError, nearest


def check_writable(to: str) -> None:
    """InputError where no writer is known for `to`."""
    if to not in WRITABLE:
        raise InputError(f"--to: expected {' or '.join(WRITABLE)}, got {to!r}. {nearest(to, WRITABLE)}")


def convert(
    source: Path, out: Path, to: str, format: str = "auto", encoding: str | None = None, shown: str = ""
) -> tuple[DatasetRecords, list[Finding]]:
    """Write `source` to `out` as `to`, whole or not at all. Returns what was read, and what could not be read or said.

    InputError, which calls the data `shown`, where no writer is known for `to`, or where `out` is not new or lies
    inside of `source`.
    """
    check_writable(to)
    write = WRITABLE[to]
    place, target = user_path(source).resolve(), user_path(out).resolve()
    check_new(str(out), target, place)
    records, findings = read_dataset(place, format, encoding)
    require_boxes(records, findings, shown or str(source))
    with new_folder(target) as folder:
        findings = findings + write(records, folder)
        copy_images(records, folder / "images")
    return records, findings
