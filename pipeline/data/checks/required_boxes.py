"""What every data set must have to be of use: an image with a box. One wording for all commands."""

from collections.abc import Sequence

from pipeline.data.checks.catalog import worst
from pipeline.data.parsing.findings import Finding
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError


def require_boxes(records: DatasetRecords, findings: Sequence[Finding], source: str) -> None:
    """InputError, which calls the data `source`, where no image is left, or none has a box."""
    lacking = what_is_lacking(records)
    if lacking is not None:
        raise InputError(f"{source}: {lacking}.{cause(findings)}")


def what_is_lacking(records: DatasetRecords) -> str | None:
    """What was expected, where the records hold no image or no box; else None."""
    if not records.images:
        return "expected usable images, got none"
    if not any(map(has_box, records.images)):
        return f"expected boxes, got {len(records.images)} images without any usable one"
    return None


def has_box(record: ImageRecord) -> bool:
    """Whether an image has an object to be found; a region to ignore is none."""
    return not record.objects.ignore_G.all()


def cause(findings: Sequence[Finding]) -> str:
    """The worst finding, for the end of a message; empty where there is none."""
    first = worst(findings)
    return f" First: {first.line()}" if first else ""
