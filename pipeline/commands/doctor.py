"""`yolox doctor`: what is wrong with a folder of annotated images, before anything is built on it."""

from dataclasses import asdict
from pathlib import Path

from pipeline.source import user_path
from pipeline.stages.validate import print_findings
from yolox_core.datasets import doctor
from yolox_core.datasets.atomic import write_json
from yolox_core.datasets.formats import read_dataset


def examine(path: Path, format: str = "auto", json_path: Path | None = None) -> int:
    """Print every finding and a summary, and write both to `json_path`. Exit code: 1 with findings, else 0."""
    records, unread = read_dataset(user_path(path), format)
    usable, wrong = doctor.check(records)
    findings = unread + wrong
    counts = doctor.summary(usable, findings)
    print_findings(findings, None, "")
    boxes = ", ".join(f"{name} {count}" for name, count in counts["boxes_per_class"].items())
    print(
        f"{path}: {counts['images']} usable images, {counts['boxes']} usable boxes ({boxes}); {len(findings)} findings"
    )
    if json_path is not None:
        write_json(json_path, {**counts, "list": [asdict(finding) for finding in findings]})
    return 1 if findings else 0
