"""Sources examined as one data set, whatever they are and wherever they come from. They are only read.

The same reading as ingest, the same checks as validate, and what is odd about the set as a whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config.source_spec import SourceSettings
from pipeline.config.user_paths import user_path
from pipeline.data.checks import doctor
from pipeline.data.checks.cached_scan import scan_with_cache
from pipeline.data.checks.repair import repair
from pipeline.data.checks.required_boxes import require_boxes
from pipeline.data.parsing.findings import Finding
from pipeline.data.prepare.merge import Part, merge
from pipeline.data.sources.fetch import read_sources
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.data.records import DatasetRecords

CHANGES = "changes.json"


@dataclass(frozen=True)
class Sources:
    """Sources that have been read."""

    parts: Sequence[Part]
    unread: Sequence[Finding]  # what could not be read
    shown: str  # what they are called in a message
    places: Sequence[Path]  # the folders that they are read from

    @classmethod
    def read(cls, sources: Sequence[SourceSettings], format: str) -> "Sources":
        """Read all, fetched where that is needed."""
        read = read_sources(sources, format)
        places = [user_path(source.path) for source in sources if user_path(source.path).is_dir()]
        return cls(
            parts=[part for part, _ in read],
            unread=[finding for _, unread in read for finding in unread],
            shown=", ".join(source.shown for source in sources),
            places=[*places, *(part.records.image_root for part, _ in read)],
        )


@dataclass(frozen=True)
class Examination:
    """What was found of a data set."""

    shown: str  # what the data are called in a message
    records: DatasetRecords
    usable: DatasetRecords
    findings: Sequence[Finding]
    summary: dict[str, Any]

    def repair(self, target: Path) -> list[dict[str, Any]]:
        """Write a copy without what can be repaired, and the list of changes; returns the list.

        InputError where nothing could be trained on the copy.
        """
        require_boxes(self.usable, self.findings, self.shown)
        with new_folder(target) as folder:
            changes = repair(self.records, self.usable, self.findings, folder)
            write_json(folder / CHANGES, changes)
        return changes


@contextmanager
def examined(
    sources: Sources, input_size: int, value_range: tuple[float, float] | None = None
) -> Iterator[Examination]:
    """Check everything, for a network of `input_size` px; in the block the images can still be opened.

    value_range: as `data.range` of params.yaml, how samples of more than eight bits are read.
    """
    with _together(sources.parts) as together:
        records = replace(together, value_range=value_range)
        usable, wrong = doctor.examine(records, input_size, *scan_with_cache(records))
        findings = [*sources.unread, *wrong]
        yield Examination(sources.shown, records, usable, findings, doctor.summary(usable, findings))


@contextmanager
def _together(parts: Sequence[Part]) -> Iterator[DatasetRecords]:
    """All parts as one data set, whose images lie as `ingest` would lay them, but for that they are not copied."""
    if len(parts) == 1:
        yield parts[0].records
        return
    with TemporaryDirectory() as folder:
        for part in parts:
            (Path(folder) / part.name).symlink_to(part.records.image_root.resolve())
        yield merge(parts, Path(folder))
