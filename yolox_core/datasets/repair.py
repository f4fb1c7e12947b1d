"""A mended copy of a data set: what can be used, written so that every tool sees the same, and a list of changes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from yolox_core.datasets.catalogue import CATALOGUE
from yolox_core.datasets.coco import write_coco
from yolox_core.datasets.image_facts import SUFFIXES, image_facts
from yolox_core.datasets.images import decode_image, read_bytes
from yolox_core.datasets.records import DatasetRecords, Finding, ImageRecord

# written anew as upright 8-bit colour; a palette or transparency without loss, the rest as JPEG where it was one
REWRITTEN = frozenset({"image-animated", "image-16-bit", "image-cmyk", "image-palette", "image-alpha", "image-rotated"})
COPIES = frozenset({"image-duplicate", "duplicate-across-splits"})
JPEG_QUALITY = 95
HELD_OUT = ("test", "val", "train", None)  # of two copies the one further left is kept


def repair(usable: DatasetRecords, findings: Sequence[Finding], folder: Path) -> list[dict[str, Any]]:
    """Write images/ and annotations.json (COCO) into `folder`; every change, as JSON takes it.

    `usable` and `findings` are what `doctor.check` gave. Nothing of the source is touched.
    """
    about = defaultdict(set)
    for finding in findings:
        for name in finding.images[-1:]:  # of two copies the second
            about[name].add(finding.code)
    changes = [_told(finding) for finding in findings if CATALOGUE[finding.code].fixed]
    left_out = _copies_left_out(usable, findings)
    images = []
    for record in usable.images:
        if record.file_name not in left_out:
            name = _write(usable.path(record), record.file_name, about[record.file_name], folder / "images")
            images.append(replace(record, file_name=name, annotation=""))
    taken = _without_clashes(images)
    write_coco(replace(usable, images=taken), folder / "annotations.json")
    return changes


def _told(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "where": finding.where, "what": finding.what, "change": _change(finding)}


def _change(finding: Finding) -> str:
    if finding.code in REWRITTEN:
        return "image written again, upright, 8 bits, three channels"
    if finding.code == "image-mislabelled":
        return "image renamed"
    return "one copy left out" if finding.code in COPIES else finding.action


def _copies_left_out(usable: DatasetRecords, findings: Sequence[Finding]) -> set[str]:
    """Of the same file twice the one that is held out less, or comes later."""
    split_of: Mapping[str, str | None] = {record.file_name: record.split for record in usable.images}
    left_out: set[str] = set()
    for finding in findings:
        if finding.code in COPIES:
            first, second = finding.images
            further = HELD_OUT.index(split_of[second]) < HELD_OUT.index(split_of[first])
            left_out.add(first if further and first not in left_out else second)
    return left_out


def _write(source: Path, name: str, codes: set[str], folder: Path) -> str:
    """Copy the image, or write it anew where a code asks for it; its name there."""
    data = read_bytes(source)
    path = PurePosixPath(name)
    facts = image_facts(data, path.suffix)
    kind = facts.format if facts else ""
    if codes & REWRITTEN:
        lossy = kind in ("JPEG", "MPO")
        suffix = ".jpg" if lossy else ".png"
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if lossy else []
        data = cv2.imencode(suffix, decode_image(data, name), options)[1].tobytes()
    elif "image-mislabelled" in codes:
        suffix = SUFFIXES[kind][0]
    else:
        suffix = path.suffix
    target = path.with_suffix(suffix)
    if str(target) != name and (source.parent / target.name).exists():  # another image's name
        target = path.with_name(f"{path.stem}{path.suffix.replace('.', '_')}{suffix}")
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    (folder / target).write_bytes(data)
    return str(target)


def _without_clashes(images: list[ImageRecord]) -> list[ImageRecord]:
    names = [record.file_name for record in images]
    assert len(set(names)) == len(names), "two images of one name would be one"
    return images
