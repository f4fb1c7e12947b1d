"""`yolox doctor`: what is wrong with annotated images, wherever they come from, before anything is built on them."""

from dataclasses import asdict, replace
from pathlib import Path

from pipeline.settings import load_settings
from pipeline.source_settings import SourceSettings
from pipeline.sources.resolve import read_sources
from pipeline.stages.validate import print_findings
from yolox_core.datasets import doctor
from yolox_core.datasets.atomic import write_json
from yolox_core.datasets.merge import Part, merge
from yolox_core.datasets.records import Finding
from yolox_core.errors import InputError


def examine(
    path: str | Path | None, format: str = "auto", json_path: Path | None = None, sha256: str | None = None
) -> int:
    """Print every finding and a summary, and write both to `json_path`. Exit code: 1 with findings, else 0.

    Without a path the sources of params.yaml are examined, as one data set.
    """
    sources = _sources(path, sha256)
    parts: list[Part] = []
    findings: list[Finding] = []
    for part, unread in read_sources(sources, load_settings().data.format if path is None else format):
        usable, wrong = doctor.check(part.records)
        parts.append(replace(part, records=usable))
        findings += unread + [part.named(finding) for finding in wrong]
    counts = doctor.summary(merge(parts, Path()), findings)
    print_findings(findings, None, "")
    boxes = ", ".join(f"{name} {count}" for name, count in counts["boxes_per_class"].items())
    shown = ", ".join(source.shown for source in sources)
    print(
        f"{shown}: {counts['images']} usable images, {counts['boxes']} usable boxes ({boxes}); {len(findings)} findings"
    )
    if json_path is not None:
        write_json(json_path, {**counts, "list": [asdict(finding) for finding in findings]})
    return 1 if findings else 0


def _sources(path: str | Path | None, sha256: str | None) -> tuple[SourceSettings, ...]:
    if path is not None:
        return (SourceSettings(str(path), sha256=sha256),)
    sources = load_settings().data.sources
    if not sources:
        raise InputError("yolox doctor: expected a path, got none, and params.yaml names the embedded data set.")
    return sources
