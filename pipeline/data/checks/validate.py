"""Every image and box of data/raw, checked; what cannot be used is dropped and counted, in data/valid.

Findings do not stop the pipeline; only a data set without a usable image or box does.
"""

import json
from dataclasses import asdict, replace
from operator import is_
from typing import Any

from pipeline.config import paths
from pipeline.config.settings import DataSettings
from pipeline.data.checks import doctor
from pipeline.data.checks.cached_scan import scan_with_cache
from pipeline.data.checks.duplicate_findings import SIMILAR
from pipeline.data.checks.required_boxes import require_boxes
from pipeline.data.checks.text_report import as_markdown
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.parsing.findings import Finding
from pipeline.data.scan.image_scan import digests
from pipeline.data.scan.scan_cache import stamp
from yolox_core.atomic_files import write_copy, write_json, write_text
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError


def validate(data: DataSettings) -> tuple[dict[str, Any], list[Finding]]:
    """Write data/valid and the two reports; InputError where nothing usable is left.

    Returns the summary of what can be used, and all findings.
    """
    before = stamp(paths.RAW_ANNOTATIONS)
    raw = replace(read_coco(paths.RAW_ANNOTATIONS, paths.RAW_IMAGES), value_range=data.range)
    seen, alike = scan_with_cache(raw)
    valid, wrong = doctor.check(raw, seen, alike)
    findings = _ingested() + wrong
    require_boxes(valid, findings, data.shown)
    counts = doctor.summary(valid, findings)
    if not _copied(raw, valid, before):
        write_coco(valid, paths.VALID_ANNOTATIONS)
    write_json(paths.SIMILAR, sorted(sorted(finding.images) for finding in findings if finding.code in SIMILAR))
    write_json(paths.DIGESTS, digests(seen, raw))
    write_json(paths.VALIDATION, {**counts, "list": [asdict(finding) for finding in findings]})
    write_text(paths.VALIDATION_TEXT, as_markdown(counts, findings))
    return counts, findings


def _copied(raw: DatasetRecords, valid: DatasetRecords, before: str | None) -> bool:
    """Copy the annotations where nothing was to mend: the same bytes, much sooner. Not where they are others by now."""
    if len(valid.images) != len(raw.images) or not all(map(is_, valid.images, raw.images)):
        return False
    write_copy(paths.VALID_ANNOTATIONS, paths.RAW_ANNOTATIONS)
    return stamp(paths.RAW_ANNOTATIONS) == before


def _ingested() -> list[Finding]:
    """What ingest could not read."""
    path = paths.RAW_FINDINGS
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run `yolox ingest` first.")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = [Finding(**{**entry, "images": tuple(entry.get("images", ()))}) for entry in entries]
        if not all(isinstance(text, str) for one in found for text in (one.code, one.where, one.what, *one.images)):
            raise TypeError("a finding is made of texts")
        return found
    except (ValueError, TypeError, AttributeError, RecursionError) as broken:
        raise InputError(f"{path}: damaged ({str(broken)[:100]}). Run stage ingest again: `yolox ingest`.") from broken
