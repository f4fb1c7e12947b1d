"""Which images of a data set are copies of each other: the same file, or pictures alike; within a split and across."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline.data.parsing.findings import Finding
from pipeline.data.scan.duplicate_cache import Pair, pairs
from pipeline.data.scan.image_scan import ImageScan
from pipeline.data.scan.scan_cache import ScanCache
from yolox_core.data.records import DatasetRecords, ImageRecord, described

# on one side of a split, and across
DUPLICATES = ("image-duplicate", "duplicate-across-splits")
SHOWN_BOXES = 3  # that a finding names of each copy
SIMILAR = ("image-similar", "similar-across-splits")


def sides(images: Sequence[ImageRecord]) -> list[str | None]:
    """The side of each image by the data set's own split: where that holds anything out, the rest trains."""
    own = [record.split for record in images]
    return [split or "train" for split in own] if {"val", "test"} & set(own) else own


def same_files(records: DatasetRecords, digests: Sequence[str], side: Sequence[str | None]) -> list[Finding]:
    """One finding for each image that is the same file as an earlier one; `digests` are the files', empty for none,
    `side` says on which side of the split each stands.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    findings = []
    for index, digest in enumerate(digests):
        before = groups[digest]
        if digest and before:
            across = next((other for other in before if side[other] != side[index]), None)
            first, here = records.images[before[0] if across is None else across], records.images[index]
            code = DUPLICATES[across is not None]
            both = (first.file_name, here.file_name)
            findings.append(Finding(code, shown_as(here), f"same content as {shown_as(first)}", "kept", both))
            if described(first, records.class_names) != described(here, records.class_names):
                what = f"the same picture as {shown_as(first)}; {_difference(here, first, records.class_names)}"
                findings.append(Finding("copies-differ", shown_as(here), what, "kept", both))
        before.append(index)
    return findings


def _difference(here: ImageRecord, there: ImageRecord, names: Sequence[str]) -> str:
    """In which boxes two images differ: `only here 1 of 2 boxes: cat [1, 2, 3, 4]; only there none of 1`."""
    mine, theirs = _boxes(here, names), _boxes(there, names)
    return f"only here {_some(mine - theirs, mine)}; only there {_some(theirs - mine, theirs)}"


def _boxes(record: ImageRecord, names: Sequence[str]) -> Counter[str]:
    rows = record.objects.rows()
    return Counter(f"{names[label]} {shown_box(box)}{' (crowd)' if ignore else ''}" for box, label, ignore in rows)


def _some(only: Counter[str], among: Counter[str]) -> str:
    listed = sorted(only.elements())
    more = f" and {len(listed) - SHOWN_BOXES} more" if len(listed) > SHOWN_BOXES else ""
    named = f": {', '.join(listed[:SHOWN_BOXES])}{more}" if listed else ""
    return f"{len(listed) or 'none'} of {among.total()} boxes{named}"


def shown_box(box: Sequence[float]) -> str:
    """A box for a message."""
    return f"[{', '.join(f'{value:g}' for value in box)}]"


def alike(images: Sequence[ImageRecord], seen: Sequence[ImageScan], cache: ScanCache | None = None) -> list[Pair]:
    """Of each image that copies an earlier one the likest; of those that `cache` holds only new pairs are compared."""
    before = None if cache is None else cache.compared()
    found, compared = pairs([view.thumb for view in seen], sides(images), before)
    if cache is not None and compared is not before:
        cache.remember_compared(compared)
    return found


def similar(records: DatasetRecords, seen: Sequence[ImageScan], found: Sequence[Pair]) -> list[Finding]:
    """One or two findings for each image that copies an earlier one and is another file."""
    side = sides(records.images)
    findings = []
    for pair in found:
        one, other = records.images[pair.first], records.images[pair.second]
        before, here = seen[pair.first], seen[pair.second]
        if before.digest == here.digest:
            continue
        way = "a mirrored copy" if pair.mirrored else "a copy"
        sizes = f"{here.size[1]}x{here.size[0]} px beside {before.size[1]}x{before.size[0]}"
        what = f"{way} of {shown_as(one)}, {sizes} (correlation {pair.likeness:.3f})"
        code = SIMILAR[side[pair.first] != side[pair.second]]
        findings.append(Finding(code, shown_as(other), what, "kept", (one.file_name, other.file_name)))
    return findings


def groups_of(pairs_of_names: Sequence[Sequence[str]]) -> list[list[str]]:
    """Names that hang together by pairs, each group sorted."""
    head: dict[str, str] = {}

    def find(name: str) -> str:
        head.setdefault(name, name)
        while head[name] != name:
            head[name] = head[head[name]]
            name = head[name]
        return name

    for one, other in pairs_of_names:
        head[find(other)] = find(one)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(head):
        groups[find(name)].append(name)
    return sorted(groups.values())


def shown_as(record: ImageRecord) -> str:
    """The image for a message."""
    return f"{record.file_name} ({record.split})" if record.split else record.file_name
