"""Stage `validate`: every image and box of data/raw, checked; what cannot be used is dropped and counted.

Findings do not stop the pipeline; only a data set without a usable image or box does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from operator import is_
from typing import Any

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.seen_images import look_at
from pipeline.settings import Settings
from yolox_core.datasets import doctor
from yolox_core.datasets.atomic import write_copy, write_json, write_text
from yolox_core.datasets.coco import read_coco, write_coco
from yolox_core.datasets.known import stamp
from yolox_core.datasets.records import DatasetRecords, Finding
from yolox_core.datasets.seen import digests
from yolox_core.errors import InputError

SIMILAR = ("image-similar", "similar-across-splits")
SHOWN = 20  # findings printed; the report has all


def run(settings: Settings) -> None:
    """Write data/valid and the two reports; InputError where nothing usable is left."""
    before = stamp(paths.RAW_ANNOTATIONS)
    raw = read_coco(paths.RAW_ANNOTATIONS, paths.RAW_IMAGES)
    seen, alike = look_at(raw)
    valid, wrong = doctor.check(raw, seen, alike)
    findings = _ingested() + wrong
    _require_something(valid, findings, settings.data.shown)
    counts = doctor.summary(valid, findings)
    if not _copied(raw, valid, before):
        write_coco(valid, paths.VALID_ANNOTATIONS)
    write_json(paths.SIMILAR, sorted(sorted(finding.images) for finding in findings if finding.code in SIMILAR))
    write_json(paths.DIGESTS, digests(seen, raw))
    write_json(paths.VALIDATION, {**counts, "list": [asdict(finding) for finding in findings]})
    write_text(paths.VALIDATION_TEXT, as_markdown(counts, findings))
    print_findings(findings, SHOWN, f"see {paths.VALIDATION}")
    print(f"validate: {counts['images']} images and {counts['boxes']} boxes can be used; {len(findings)} findings")


def _copied(raw: DatasetRecords, valid: DatasetRecords, before: str | None) -> bool:
    """Copy the annotations where nothing was to mend: the same bytes, much sooner. Not where they are others by now."""
    if len(valid.images) != len(raw.images) or not all(map(is_, valid.images, raw.images)):
        return False
    write_copy(paths.VALID_ANNOTATIONS, paths.RAW_ANNOTATIONS)
    return stamp(paths.RAW_ANNOTATIONS) == before


def print_findings(findings: Sequence[Finding], limit: int | None, rest: str) -> None:
    """One line each; beyond `limit` (None: all), how many more there are and where."""
    for finding in findings[:limit]:
        print(finding.line())
    if limit is not None and len(findings) > limit:
        print(f"and {len(findings) - limit} more, {rest}")


def as_markdown(counts: dict[str, Any], findings: Sequence[Finding]) -> str:
    """The summary for a reader: totals, classes, sizes, findings by code with an example each."""
    share = counts["images_without_objects_share"]
    lines = ["# Validation", ""]
    lines += [f"{counts['images']} images can be used, {share:.1%} of them without objects; {counts['boxes']} boxes."]
    lines += ["", "| class | boxes |", "|---|---:|"]
    lines += [f"| {_cell(name)} | {boxes} |" for name, boxes in counts["boxes_per_class"].items()]
    sizes = ", ".join(f"{name} {value:g}" for name, value in counts["object_size_px"].items())
    lines += ["", f"Object size, square root of the box area in px: {sizes}.", "", "## Findings", ""]
    if not findings:
        return "\n".join([*lines, "None: every image and every box can be used.", ""])
    first = {finding.code: finding for finding in reversed(findings)}
    lines += ["| code | count | first |", "|---|---:|---|"]
    for code, count in counts["findings_by_code"].items():
        finding = first[code]
        lines.append(f"| {code} | {count} | {_cell(f'{finding.where}: {finding.what}')} ({_cell(finding.action)}) |")
    return "\n".join([*lines, "", f"All {len(findings)}: `{paths.VALIDATION}`.", ""])


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


def _require_something(valid: DatasetRecords, findings: list[Finding], source: str) -> None:
    first = f" First of {len(findings)} findings: {findings[0].line()}" if findings else ""
    if not valid.images:
        raise InputError(f"{source}: expected usable images, got none.{first}")
    if not any(len(record.boxes_G4) for record in valid.images):
        raise InputError(f"{source}: expected boxes, got {len(valid.images)} images without any usable one.{first}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    stage_main(run)
