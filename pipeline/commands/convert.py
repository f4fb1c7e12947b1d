"""`yolox convert`: a folder of annotated images in another format. The source is only read."""

from collections.abc import Callable
from pathlib import Path

from pipeline.source import user_path
from pipeline.stages.ingest import copy_images
from pipeline.stages.validate import print_findings
from yolox_core.datasets.atomic import new_folder
from yolox_core.datasets.coco import write_coco
from yolox_core.datasets.formats import read_dataset
from yolox_core.datasets.own_sizes import with_own_sizes
from yolox_core.datasets.records import DatasetRecords, Finding
from yolox_core.datasets.yolo_write import write_yolo
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
    boxes = sum(len(record.boxes_G4) for record in records.images)
    print(f"{out}: {len(records.images)} images, {boxes} boxes read, written as {to}; {len(findings)} findings")


def check_new(name: str, target: Path, source: Path) -> None:
    """InputError unless `target` is new or empty, and outside of the `source` that is read."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{name}: expected a new or empty folder, got one with content. Name another.")
    real, place = target.resolve(), source.resolve()
    inner = [place, *(entry.resolve() for entry in _linked_folders(source))]
    if any(folder == real or folder in real.parents for folder in inner):
        raise InputError(f"{name}: expected a folder outside of {source}, got one inside. Name another.")


def _linked_folders(source: Path) -> list[Path]:
    """Folders that lie elsewhere and are read as if they were here."""
    return [entry for entry in source.iterdir() if entry.is_symlink() and entry.is_dir()] if source.is_dir() else []


def _as_coco(records: DatasetRecords, folder: Path) -> list[Finding]:
    write_coco(with_own_sizes(records), folder / "annotations.json")
    return []


WRITERS: dict[str, Callable[[DatasetRecords, Path], list[Finding]]] = {"coco": _as_coco, "yolo": write_yolo}
