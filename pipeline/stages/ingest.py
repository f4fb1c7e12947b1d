"""Stage `ingest`: the sources' images and annotations, in any format, as one folder of ours.

Images are copied, never linked: DVC makes what it tracks read-only, and the source is not ours to change. File systems
that can (btrfs) share the bytes. What could not be read is written beside them; validate reports it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.settings import Settings
from pipeline.source import check_raw_is_ours
from pipeline.sources.resolve import check_apart, read_sources
from yolox_core.datasets import synthetic
from yolox_core.datasets.atomic import copy_file, new_folder, write_json
from yolox_core.datasets.coco import write_coco
from yolox_core.datasets.merge import merge
from yolox_core.datasets.records import DatasetRecords, Finding
from yolox_core.errors import InputError

COPIERS = 8  # threads


def run(settings: Settings) -> None:
    """Fill data/raw: images/, annotations.json, findings.json; all of it or nothing."""
    check_raw_is_ours()
    data = settings.data
    findings: list[Finding] = []
    if not data.sources:
        with new_folder(paths.RAW) as folder:
            records = synthetic.render(folder, data.synthetic.images, data.synthetic.seed)
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
    boxes = sum(len(record.boxes_G4) for record in records.images)
    print(f"ingest: {len(records.images)} images, {boxes} boxes, {len(records.categories)} classes from {data.shown}")
    if findings:
        print(f"ingest: {len(findings)} annotations or images could not be read; validate lists them")


def copy_images(records: DatasetRecords, folder: Path) -> None:
    """Copy every image into `folder` by its name."""

    def copy(file_name: str) -> None:
        target = folder / file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_file(records.image_root / file_name, target)
        except FileNotFoundError:
            return  # a link to nowhere: validate drops the image and says so
        except OSError as failed:
            raise InputError(
                f"{records.image_root / file_name}: expected an image to copy to {folder}, got {failed.strerror}."
            ) from failed

    with ThreadPoolExecutor(COPIERS) as pool:
        list(pool.map(copy, (record.file_name for record in records.images)))


def _write_findings(folder: Path, findings: list[Finding]) -> None:
    write_json(folder / paths.RAW_FINDINGS.name, [asdict(finding) for finding in findings])


if __name__ == "__main__":
    stage_main(run)
