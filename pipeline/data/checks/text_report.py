"""Findings as text: lines for a terminal, and the Markdown page that DVC tracks.

Printed by validate, `yolox doctor` and `yolox convert`; the HTML page is made by pipeline/reports/doctor.py.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.config import paths
from pipeline.data.parsing.findings import Finding


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


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
