"""The sources' images and annotations, in any format, as one folder of ours: data/raw.

Images are copied, never linked: DVC makes what it tracks read-only, and the source is not ours to change. File systems
that can (btrfs) share the bytes. What could not be read is written beside them; validate reports it.
"""

from dataclasses import asdict
from pathlib import Path

from pipeline.config import paths
from pipeline.config.settings import DataSettings
from pipeline.config.user_paths import check_raw_is_ours
from pipeline.data.coco.coco import write_coco
from pipeline.data.formats.copy_images import copy_images
from pipeline.data.parsing.findings import Finding
from pipeline.data.prepare.merge import merge
from pipeline.data.sources.fetch import check_apart, check_formats, read_sources
from pipeline.data.synthetic import scenes
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.data.records import DatasetRecords


def ingest(data: DataSettings) -> tuple[DatasetRecords, list[Finding]]:
    """Fill data/raw: images/, annotations.json, findings.json; all of it or nothing. Returns what it holds."""
    check_raw_is_ours()
    check_formats(data)
    findings: list[Finding] = []
    if not data.sources:
        with new_folder(paths.RAW) as folder:
            records = scenes.render(folder, data.synthetic.images, data.synthetic.seed)
            _write_findings(folder, findings)
    else:
        check_apart(data.sources)
        read = read_sources(data.sources, data.format)
        findings = [finding for _, found in read for finding in found]
        records = merge([part for part, _ in read], paths.RAW_IMAGES)
        with new_folder(paths.RAW) as folder:
            for part, _ in read:
                copy_images(part.records, folder / paths.RAW_IMAGES.name / part.name)
            write_coco(records, folder / paths.RAW_ANNOTATIONS.name)
            _write_findings(folder, findings)
    return records, findings


def _write_findings(folder: Path, findings: list[Finding]) -> None:
    write_json(folder / paths.RAW_FINDINGS.name, [asdict(finding) for finding in findings])
