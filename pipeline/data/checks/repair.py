"""A mended copy of a data set: what can be used, written so that every tool sees the same, and a list of changes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from pipeline.data.checks.catalog import CATALOG, Fix
from pipeline.data.checks.duplicate_findings import DUPLICATES, groups_of, sides
from pipeline.data.coco.coco import write_coco
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.split_names import held_out
from pipeline.data.scan.image_metadata import SUFFIXES, image_metadata
from yolox_core.data.image_io import decode_image, read_bytes
from yolox_core.data.records import DatasetRecords, ImageRecord

CHANGES = {
    Fix.REWRITE: "image written again, upright, 8 bits, three channels",  # as JPEG what was one, the rest without loss
    Fix.RENAME: "image renamed",
}
JPEG_QUALITY = 95
LONGEST_NAME = 200  # bytes of UTF-8 that a new name may have


def repair(
    raw: DatasetRecords, usable: DatasetRecords, findings: Sequence[Finding], folder: Path
) -> list[dict[str, Any]]:
    """Write images/ and annotations.json (COCO) into `folder`; every change, as JSON takes it.

    `raw` is what was read, `usable` and `findings` are what `doctor.check` made of it. The source is only read.
    Where an annotated size was wrong it stays as it was annotated: whether its boxes fit only a person can see.
    """
    about: dict[str, set[Fix]] = defaultdict(set)
    for finding in findings:
        for name in finding.images[-1:]:  # of two copies the second
            about[name].add(CATALOG[finding.code].fix)
    annotated = {record.file_name: (record.height, record.width) for record in raw.images}
    left_out = _copies_left_out(usable, findings)
    taken = {record.file_name for record in usable.images}
    images = []
    for record in usable.images:
        if record.file_name in left_out:
            continue
        fixes = about[record.file_name]
        name = _write(usable, record, fixes, folder / "images", taken)
        height, width = annotated[record.file_name] if Fix.ANNOTATED_SIZE in fixes else (record.height, record.width)
        images.append(replace(record, file_name=name, height=height, width=width, annotation=""))
    write_coco(replace(usable, images=images), folder / "annotations.json")
    told = [_told(finding) for finding in findings if CATALOG[finding.code].fixed and not _is_copy(finding)]
    return told + [_told_copy(record, left_out) for record in usable.images if record.file_name in left_out]


def _told(finding: Finding) -> dict[str, Any]:
    change = CHANGES.get(CATALOG[finding.code].fix, finding.action)
    return {"code": finding.code, "where": finding.where, "what": finding.what, "change": change}


def _told_copy(record: ImageRecord, left_out: dict[str, str]) -> dict[str, Any]:
    kept = left_out[record.file_name]
    change = f"image and its {len(record.objects)} boxes left out, {kept} is kept"
    return {"code": DUPLICATES[0], "where": record.file_name, "what": f"same content as {kept}", "change": change}


def _is_copy(finding: Finding) -> bool:
    return CATALOG[finding.code].fix is Fix.ONE_COPY


def _copies_left_out(usable: DatasetRecords, findings: Sequence[Finding]) -> dict[str, str]:
    """name -> the copy that is kept instead: of each group the one held out furthest, the first of several."""
    side = dict(zip([record.file_name for record in usable.images], sides(usable.images), strict=True))
    place = {name: at for at, name in enumerate(side)}
    left_out: dict[str, str] = {}
    for group in groups_of([finding.images for finding in findings if _is_copy(finding)]):
        kept = min(group, key=lambda name: (-held_out(side[name]), place[name]))
        left_out |= {name: kept for name in group if name != kept}
    return left_out


def _write(usable: DatasetRecords, record: ImageRecord, fixes: set[Fix], folder: Path, taken: set[str]) -> str:
    """Copy the image, or write it anew where a finding asks for it; its name there, which nobody else has."""
    name, data = record.file_name, read_bytes(usable.path(record))
    path = PurePosixPath(name)
    facts = image_metadata(data, path.suffix)
    kind = facts.format if facts else ""
    suffix = path.suffix
    if Fix.REWRITE in fixes:
        suffix = ".jpg" if kind in ("JPEG", "MPO") else ".png"
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
        data = cv2.imencode(suffix, decode_image(data, name, usable.value_range), options)[1].tobytes()
        suffix = path.suffix if path.suffix.lower() in SUFFIXES["JPEG" if suffix == ".jpg" else "PNG"] else suffix
    elif Fix.RENAME in fixes:
        suffix = SUFFIXES[kind][0]
    target = name if suffix == path.suffix else _free(path, suffix, taken)
    taken.add(target)
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    (folder / target).write_bytes(data)
    return target


def _free(path: PurePosixPath, suffix: str, taken: set[str]) -> str:
    """The name with another suffix, numbered where that is another image's."""
    stem = path.stem.encode()[:LONGEST_NAME].decode("utf-8", "ignore")
    number, target = 1, str(path.with_name(stem + suffix))
    while target in taken:
        number += 1
        target = str(path.with_name(f"{stem}_{number}{suffix}"))
    return target
