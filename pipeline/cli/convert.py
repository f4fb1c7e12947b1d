"""`yolox convert`: annotated images in another format, from a folder, an archive or an address. These are only read."""

from pathlib import Path

from pipeline.config.source_spec import SourceSettings
from pipeline.data.checks.text_report import print_findings
from pipeline.data.formats import convert as formats
from pipeline.data.parsing.encodings import check_encoding
from pipeline.data.sources.fetch import bring
from yolox_core.errors import on_one_line


def convert(
    source: str | Path, out: Path, to: str, format: str = "auto", encoding: str | None = None, sha256: str | None = None
) -> None:
    """Write `source` to `out` as COCO or YOLO, and print what could not be read or said.

    What is no folder is unpacked or fetched as `yolox doctor` does it; `sha256` is an archive's.
    """
    formats.check_writable(to)
    check_encoding(encoding, "--encoding")
    settings = SourceSettings(str(source), sha256=sha256)
    records, findings = formats.convert(bring(settings), out, to, format, encoding, settings.shown)
    print_findings(findings, None, "")
    boxes = sum(len(record.objects) for record in records.images)
    counts = f"{len(records.images)} images, {boxes} boxes read, written as {to}; {len(findings)} findings"
    print(on_one_line(f"{out}: {counts}"))
