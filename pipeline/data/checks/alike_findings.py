"""Many findings as one: where nearly all entries of a file fail alike, it is something else."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipeline.data.checks.catalog import CATALOG
from pipeline.data.parsing.findings import Finding
from yolox_core.data.records import DatasetRecords

FEWEST = 10  # findings that are put into one
NEARLY_ALL = 0.9  # of the entries
EVERYTHING = "the data set"
_LOST = ("box dropped", "annotation left out")  # actions by which an entry is lost
_Kind = tuple[str, str]  # code, what was expected


def dropped(findings: Iterable[Finding]) -> int:
    """How many entries cannot be used."""
    return sum(map(_is_of_an_entry, findings))


def merged(findings: Sequence[Finding], records: DatasetRecords) -> list[Finding]:
    """The findings, but one for those that nearly all entries of a file, or of the whole set, have in common.

    `records` hold what can be used. Equal findings are merged where there are `FEWEST` or more.
    """
    if dropped(findings) < FEWEST:
        return list(findings)
    by_kind = defaultdict(list)
    for finding in findings:
        if _is_of_an_entry(finding):
            by_kind[_kind(finding)].append(finding)
    usable = _usable(records)
    lost = Counter(file_of(finding) for finding in findings if _is_of_an_entry(finding))
    instead: dict[Finding, Finding | None] = {}
    for alike in by_kind.values():
        files = sorted({file_of(finding) for finding in alike})
        total = usable.total() + lost.total()
        if _are_nearly_all(alike, total):
            where = files[0] if len(files) == 1 else EVERYTHING
            instead |= _one_for(alike, where, total)
            continue
        for file, mine in _by_file(alike).items():
            total = usable[file] + lost[file]
            if _are_nearly_all(mine, total):
                instead |= _one_for(mine, file, total)
    return [kept for finding in findings if (kept := instead.get(finding, finding)) is not None]


def file_of(finding: Finding) -> str:
    """The file that a finding of an entry speaks of."""
    return finding.where.partition(": ")[0]


def _is_of_an_entry(finding: Finding) -> bool:
    return bool(CATALOG[finding.code].alike) and finding.action in _LOST


def _kind(finding: Finding) -> _Kind:
    """What findings have in common that differ in their entry alone."""
    return finding.code, re.sub(r"\d+", "0", finding.what.partition(", got")[0])


def _usable(records: DatasetRecords) -> Counter[str]:
    """How many objects of each annotation file can be used."""
    counts: Counter[str] = Counter()
    for record in records.images:
        counts[record.annotation.partition(": ")[0]] += len(record.objects)
    return counts


def _by_file(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found = defaultdict(list)
    for finding in findings:
        found[file_of(finding)].append(finding)
    return found


def _are_nearly_all(alike: Sequence[Finding], total: int) -> bool:
    return len(alike) >= max(FEWEST, NEARLY_ALL * total)


def _one_for(alike: Sequence[Finding], where: str, total: int) -> dict[Finding, Finding | None]:
    """One finding in the place of the first, none in those of the others."""
    first = alike[0]
    what = f"{len(alike)} of {total} entries fail alike, first {first.where}: {first.what}; {CATALOG[first.code].alike}"
    one = Finding(first.code, where, what, f"{first.action}, each of them", first.images)
    return dict.fromkeys(alike) | {first: one}
