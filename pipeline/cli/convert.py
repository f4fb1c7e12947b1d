"""`yolox convert`: a folder of annotated images in another format. The source is only read."""

from pathlib import Path

from pipeline.data.checks.text_report import print_findings
from pipeline.data.formats import convert as formats
from pipeline.data.parsing.encodings import check_encoding


def convert(source: Path, out: Path, to: str, format: str = "auto", encoding: str | None = None) -> None:
    """Write `source` to `out` as COCO or YOLO, and print what could not be read or said."""
    check_encoding(encoding, "--encoding")
    records, findings = formats.convert(source, out, to, format, encoding)
    print_findings(findings, None, "")
    boxes = sum(len(record.objects) for record in records.images)
    print(f"{out}: {len(records.images)} images, {boxes} boxes read, written as {to}; {len(findings)} findings")
