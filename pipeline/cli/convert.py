"""`yolox convert`: a folder of annotated images in another format. The source is only read."""

from collections.abc import Callable
from pathlib import Path

from pipeline.config.user_paths import user_path
from pipeline.data.checks.text_report import print_findings
from pipeline.data.coco.coco import write_coco
from pipeline.data.formats.copy_images import check_new, copy_images
from pipeline.data.formats.image_sizes import with_own_sizes
from pipeline.data.formats.read import read_dataset
from pipeline.data.formats.yolo_writer import write_yolo
from pipeline.data.parsing.findings import Finding
from yolox_core.atomic_files import new_folder
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError, nearest


def convert(source: Path, out: Path, to: str, format: str = "auto") -> None:
    """Write `source` to `out` as COCO or YOLO, whole or not at all, and print what could not be read or said."""
    if to not in WRITERS:
        raise InputError(f"--to: expected {' or '.join(WRITERS)}, got {to!r}. {nearest(to, WRITERS)}")
    place, target = user_path(source).resolve(), user_path(out).resolve()
    check_new(str(out), target, place)
    records, findings = read_dataset(place, format)
    with new_folder(target) as folder:
        findings = findings + WRITERS[to](records, folder)
        copy_images(records, folder / "images")
    print_findings(findings, None, "")
    boxes = sum(len(record.objects) for record in records.images)
    print(f"{out}: {len(records.images)} images, {boxes} boxes read, written as {to}; {len(findings)} findings")


def _as_coco(records: DatasetRecords, folder: Path) -> list[Finding]:
    write_coco(with_own_sizes(records), folder / "annotations.json")
    return []


WRITERS: dict[str, Callable[[DatasetRecords, Path], list[Finding]]] = {"coco": _as_coco, "yolo": write_yolo}
