"""`yolox doctor`: what is wrong with annotated images, wherever they come from, before anything is built on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.params_file import read_params
from pipeline.config.paths import PARAMS
from pipeline.config.settings import DataSettings, load_settings, settings_from
from pipeline.config.source_spec import SourceSettings
from pipeline.config.user_paths import messages_aside, output_path, real_path, user_path
from pipeline.data.checks.catalog import CATALOG, SEVERITIES, severity
from pipeline.data.checks.text_report import print_findings
from pipeline.data.formats.copy_images import check_new
from pipeline.data.parsing.encodings import check_encoding
from pipeline.data.parsing.findings import Finding
from pipeline.data.sources.examine import CHANGES, Examination, Sources, examined
from pipeline.data.sources.fetch import check_formats
from yolox_core.atomic_files import write_json, write_text
from yolox_core.errors import InputError, on_one_line

DEFAULT_INPUT = 640  # px, where no project says otherwise


@dataclass(frozen=True)
class Outputs:
    """What is written besides what is printed."""

    json: Path | None = None
    html: Path | None = None
    fixed: Path | None = None  # a new folder


NOTHING = Outputs()


def examine(
    path: str | None,
    format: str = "auto",
    sha256: str | None = None,
    input_size: int | None = None,
    outputs: Outputs = NOTHING,
    encoding: str | None = None,
) -> int:
    """Print every finding and a table of them. Exit code: 1 with errors or warnings, else 0.

    Without a path the sources of params.yaml are examined, as one data set. The sources are only read.
    """
    fixed = None if outputs.fixed is None else real_path(user_path(outputs.fixed))
    if input_size is not None and (input_size < 32 or input_size % 32):
        raise InputError(f"--input-size: expected a multiple of 32 px, got {input_size}.")
    check_encoding(encoding, "--encoding")
    if path is None:
        data = _named_in_params(sha256, encoding)
        sources, format = data.sources, format if format != "auto" else data.format
    else:
        sources = (SourceSettings(str(path), sha256=sha256, encoding=encoding),)
    read = Sources.read(sources, format)
    if fixed is not None:
        for place in read.places:
            check_new(f"--fix {outputs.fixed}", fixed, place)
    _check_outputs(outputs, read.places)
    examination = examined(read, input_size or _trained_at(), _value_range())
    with messages_aside([outputs.json, outputs.html]), examination as found:
        _print(found)  # first: a full disk below takes nothing of it
        if outputs.json is not None:
            listed = [asdict(finding) | {"severity": severity(finding.code)} for finding in found.findings]
            write_json(output_path(outputs.json), {**found.summary, "list": listed})
        if outputs.html is not None:
            from pipeline.reports.doctor import render

            page = render(found.shown, found.usable, found.findings, found.summary)
            write_text(output_path(outputs.html), page)
            print(on_one_line(f"{outputs.html}: a page with examples of the findings"))
        if fixed is not None:
            done = f"a copy with {len(found.repair(fixed))} changes, listed in {CHANGES}; the source is as it was"
            print(on_one_line(f"{outputs.fixed}: {done}"))
    return 1 if any(severity(finding.code) != "note" for finding in found.findings) else 0


def _print(found: Examination) -> None:
    counts = found.summary
    print_findings(found.findings, None, "")
    _print_table(found.findings)
    print(
        f"{found.shown}: {counts['images']} usable images, {counts['boxes']} usable boxes{_by_class(counts)}; "
        f"{len(found.findings)} findings; {_split(counts['images_per_split'])}"
    )


def _split(images: Mapping[str, int]) -> str:
    """The data set's own split; `none` are images of no split beside others, which train."""
    counts = ", ".join(f"{name} {count}" for name, count in images.items())
    return f"split: {counts}" if counts else "no split of its own"


def _check_outputs(outputs: Outputs, places: Sequence[Path]) -> None:
    """InputError where a report would take the place of the other, of a folder, or of a file of the data set."""
    named = {"--json": outputs.json, "--html": outputs.html}
    paths = {option: real_path(output_path(path)) for option, path in named.items() if path is not None}
    if len(set(paths.values())) < len(paths):
        raise InputError(f"--html {outputs.html}: expected another file than --json's, got the same. Name another.")
    for option, path in paths.items():
        if path.is_dir():
            raise InputError(f"{option} {named[option]}: expected a file, got a folder. Name a file in it.")
        inside = any(real_path(place) in path.parents for place in places)
        if inside and path.exists():
            raise InputError(
                f"{option} {named[option]}: expected a new file, got one of the data set. Name another, or remove it."
            )


def _by_class(counts: dict[str, Any]) -> str:
    """Boxes of the classes that have any: ` (cat 2, dog 1)`."""
    boxes = counts["boxes_per_class"].items()
    found = ", ".join(f"{on_one_line(name)} {count}" for name, count in boxes if count)
    return f" ({found})" if found else ""


def _print_table(findings: Sequence[Finding]) -> None:
    """How often each kind was found, the worst first, and what helps."""
    if not findings:
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("", Column("finding", no_wrap=True), "times", "what it means", "what helps")
    counts = Counter(finding.code for finding in findings)
    for code in sorted(counts, key=lambda code: (SEVERITIES.index(severity(code)), -counts[code], code)):
        check = CATALOG[code]
        table.add_row(check.severity, code, str(counts[code]), check.means, check.remedy)
    Console().print(table)


def _trained_at() -> int:
    """The input size of params.yaml, the larger side, where there is one."""
    if not PARAMS.is_file():
        return DEFAULT_INPUT
    size = load_settings().train.input_size
    return size if isinstance(size, int) else max(size)


def _value_range() -> tuple[float, float] | None:
    """`data.range` of params.yaml, where there is one; the rest of it is not checked."""
    data = read_params().get("data") if PARAMS.is_file() else None
    given = data.get("range") if isinstance(data, dict) else None
    return settings_from({"data": {"range": given}}).data.range if given is not None else None


def _named_in_params(sha256: str | None, encoding: str | None) -> DataSettings:
    if encoding is not None:
        raise InputError("--encoding: expected a path, got none. In params.yaml it stands beside the source's path.")
    if sha256 is not None:
        raise InputError("--sha256: expected a path of the archive that it is of, got none.")
    data = load_settings().data
    check_formats(data)
    if not data.sources:
        raise InputError("yolox doctor: expected a path, got none, and params.yaml names the embedded data set.")
    return data
