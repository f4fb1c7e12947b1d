"""`yolox convert`: a folder of annotated images in another format. The source is only read."""

from pathlib import Path

from pipeline.config.user_paths import user_path
from pipeline.data.checks.text_report import print_findings
from pipeline.data.formats.annotation_formats import WRITABLE
from pipeline.data.formats.copy_images import check_new, copy_images
from pipeline.data.formats.read import read_dataset
from yolox_core.atomic_files import new_folder
from yolox_core.errors import InputError, nearest


def convert(source: Path, out: Path, to: str, format: str = "auto") -> None:
    """Write `source` to `out` as COCO or YOLO, whole or not at all, and print what could not be read or said."""
    write = WRITABLE.get(to)
    if write is None:
        raise InputError(f"--to: expected {' or '.join(WRITABLE)}, got {to!r}. {nearest(to, WRITABLE)}")
    place, target = user_path(source).resolve(), user_path(out).resolve()
    check_new(str(out), target, place)
    records, findings = read_dataset(place, format)
    with new_folder(target) as folder:
        findings = findings + write(records, folder)
        copy_images(records, folder / "images")
    print_findings(findings, None, "")
    boxes = sum(len(record.objects) for record in records.images)
    print(f"{out}: {len(records.images)} images, {boxes} boxes read, written as {to}; {len(findings)} findings")
