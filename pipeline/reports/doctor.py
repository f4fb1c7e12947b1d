"""The doctor's findings as one HTML page, with pictures of the first of each kind."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.data.checks.catalog import CATALOG, SEVERITIES, severity
from pipeline.data.parsing.findings import Finding
from pipeline.reports.example_images import LONGEST_PX, jpeg
from pipeline.reports.page import template
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.inference.visualize import draw_boxes

PICTURES = 4  # of a kind
LINES = 20


def render(title: str, usable: DatasetRecords, findings: Sequence[Finding], counts: Mapping[str, Any]) -> str:
    """The page. Equal inputs give equal bytes."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_code[finding.code].append(finding)
    record_of = {record.file_name: record for record in usable.images}
    kinds = [
        {
            "code": code,
            "check": CATALOG[code],
            "count": len(by_code[code]),
            "lines": [finding.line() for finding in by_code[code][:LINES]],
            "pictures": _pictures(usable, record_of, by_code[code]),
        }
        for code in sorted(by_code, key=lambda code: (SEVERITIES.index(severity(code)), -len(by_code[code]), code))
    ]
    return template(Path(__file__).with_name("doctor.html.j2")).render(
        title=title, kinds=kinds, counts=counts, lines=LINES
    )


def _pictures(
    usable: DatasetRecords, record_of: Mapping[str, ImageRecord], findings: Sequence[Finding]
) -> list[dict[str, str]]:
    """The first few images that findings speak of and that can be shown, with the boxes that are used."""
    shown: dict[str, str] = {}
    for finding in findings:
        for name in finding.images:
            if name in record_of and name not in shown and len(shown) < PICTURES:
                drawn = _drawn(usable, record_of[name])
                if drawn is not None:
                    shown[name] = drawn
    return [{"name": name, "jpeg": content} for name, content in shown.items()]


def _drawn(usable: DatasetRecords, record: ImageRecord) -> str | None:
    try:
        image = read_image(usable.path(record), usable.value_range)
    except InputError:  # gone since it was checked
        return None
    scale = min(1.0, LONGEST_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    captions = [usable.class_names[int(label)] for label in record.objects.labels_G]
    return jpeg(draw_boxes(small, record.objects.boxes_G4 * scale, record.objects.labels_G.tolist(), captions))
