"""What the doctor and the readers make of a folder, in a form that a test can write down."""

import contextlib
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cli.doctor import Outputs, examine
from pipeline.data.formats.read import read_dataset
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError

CASES = Path(__file__).parent / "cases"
NOTES = "expected.md"  # what is right, in words; no part of the data set


@dataclass(frozen=True)
class Said:
    """What `yolox doctor` said of a folder."""

    code: int  # its exit code; 2 where it refused the folder
    lines: str  # all that it printed, or the refusal
    summary: dict[str, Any]  # what --json holds; empty where it refused

    @property
    def codes(self) -> dict[str, int]:
        """Findings by code."""
        return dict(self.summary.get("findings_by_code", {}))

    @property
    def boxes(self) -> dict[str, int]:
        """Usable boxes by class, classes without one left out."""
        return {name: count for name, count in self.summary.get("boxes_per_class", {}).items() if count}


def copied(case: str, folder: Path) -> Path:
    """A case of `cases/` without its notes, in a new folder to be read and changed."""
    return Path(shutil.copytree(CASES / case, folder / case.replace("/", "-"), ignore=shutil.ignore_patterns(NOTES)))


def doctor(folder: Path, fixed: Path | None = None) -> Said:
    """`yolox doctor FOLDER [--fix FIXED]`."""
    report = folder.with_name(f"{folder.name}-findings.json")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            code = examine(str(folder), outputs=Outputs(json=report, fixed=fixed))
    except InputError as refused:
        return Said(2, str(refused), {})
    return Said(code, printed.getvalue(), json.loads(report.read_text(encoding="utf-8")))


def images(folder: Path) -> dict[str, str | None]:
    """The image files that the reader found, with their splits."""
    return {image.file_name: image.split for image in read_dataset(folder)[0].images}


def boxes(folder: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """For each image that has any: (class, [x, y, width, height] px, rounded) of its objects, crowds left out."""
    records = read_dataset(folder)[0]
    return {image.file_name: found for image in records.images if (found := _objects(image, records))}


def splits(folder: Path) -> dict[str | None, int]:
    """How many images are of each split."""
    return dict(Counter(images(folder).values()))


def _objects(image: Any, records: DatasetRecords) -> list[tuple[str, list[float]]]:
    return sorted(
        (records.class_names[label], [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)])
        for (x1, y1, x2, y2), label, ignore in image.objects.rows()
        if not ignore
    )
