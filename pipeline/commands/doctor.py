"""`yolox doctor`: what is wrong with annotated images, wherever they come from, before anything is built on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.settings import DataSettings, load_settings
from pipeline.source_settings import SourceSettings
from pipeline.sources.resolve import read_sources
from pipeline.stages.validate import print_findings
from yolox_core.datasets import doctor
from yolox_core.datasets.atomic import write_json
from yolox_core.datasets.merge import Part, merge
from yolox_core.datasets.records import DatasetRecords
from yolox_core.errors import InputError


def examine(
    path: str | Path | None, format: str = "auto", json_path: Path | None = None, sha256: str | None = None
) -> int:
    """Print every finding and a summary, and write both to `json_path`. Exit code: 1 with findings, else 0.

    Without a path the sources of params.yaml are examined, as one data set.
    """
    if path is None:
        data = _named_in_params(sha256)
        sources, format = data.sources, format if format != "auto" else data.format
    else:
        sources = (SourceSettings(str(path), sha256=sha256),)
    read = read_sources(sources, format)
    findings = [finding for _, unread in read for finding in unread]
    with _together([part for part, _ in read]) as records:
        usable, wrong = doctor.check(records)
    findings += wrong
    counts = doctor.summary(usable, findings)
    print_findings(findings, None, "")
    boxes = ", ".join(f"{name} {count}" for name, count in counts["boxes_per_class"].items())
    shown = ", ".join(source.shown for source in sources)
    print(
        f"{shown}: {counts['images']} usable images, {counts['boxes']} usable boxes ({boxes}); {len(findings)} findings"
    )
    if json_path is not None:
        write_json(json_path, {**counts, "list": [asdict(finding) for finding in findings]})
    return 1 if findings else 0


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


def _named_in_params(sha256: str | None) -> DataSettings:
    if sha256 is not None:
        raise InputError("--sha256: expected a path of the archive that it is of, got none.")
    data = load_settings().data
    if not data.sources:
        raise InputError("yolox doctor: expected a path, got none, and params.yaml names the embedded data set.")
    return data
