"""Which images of a data set are copies of each other: the same file, or pictures alike; within a split and across."""

from collections import defaultdict
from collections.abc import Sequence

from pipeline.data.parsing.findings import Finding
from pipeline.data.scan.duplicate_cache import Pair, pairs
from pipeline.data.scan.image_scan import ImageScan
from pipeline.data.scan.scan_cache import ScanCache
from yolox_core.data.records import DatasetRecords, ImageRecord, described

# on one side of a split, and across
DUPLICATES = ("image-duplicate", "duplicate-across-splits")
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
            findings.append(Finding(code, told(here), f"same content as {told(first)}", "kept", both))
            if described(first, records.class_names) != described(here, records.class_names):
                what = f"{len(here.objects)} boxes here, {len(first.objects)} on the same picture {told(first)}"
                findings.append(Finding("copies-differ", told(here), what, "kept", both))
        before.append(index)
    return findings


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
        what = f"{way} of {told(one)}, {sizes} (correlation {pair.likeness:.3f})"
        code = SIMILAR[side[pair.first] != side[pair.second]]
        findings.append(Finding(code, told(other), what, "kept", (one.file_name, other.file_name)))
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


def told(record: ImageRecord) -> str:
    """The image for a message."""
    return f"{record.file_name} ({record.split})" if record.split else record.file_name
