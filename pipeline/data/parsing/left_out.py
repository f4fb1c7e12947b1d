"""Pictures that no annotation names: an image of an annotated folder each, other folders one line each."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.picture_names import UNREAD_SUFFIXES, kind_of_folder


def left_out(listing: Listing, named: Collection[str | None], wanted: str) -> list[Finding]:
    """Findings of the images that are not `named`, and so lack what is `wanted`; links to nowhere are no images."""
    findings = []
    annotated = {_folder(image) for image in listing.images if image in named}
    unnamed = [image for image in listing.images if image not in named and listing.exists(image)]
    for folder, lost in by_folder(unnamed).items():
        if kind_of_folder(folder) == "made":
            findings.append(aside(folder, lost))
        elif folder in annotated or len(lost) == 1:
            findings += [_one(image, wanted) for image in lost]
        else:
            what = f"expected {wanted} for each image, got none for all {len(lost)} images, {_base(lost[0])} is one"
            findings.append(Finding("image-without-annotation", folder, what, "images left out"))
    return findings


def unread(listing: Listing) -> list[Finding]:
    """One finding for all pictures of kinds that are not read, counted by kind; none where there is none."""
    names = listing.ending(*UNREAD_SUFFIXES)
    if not names:
        return []
    counts = Counter(PurePosixPath(name).suffix.lower() for name in names)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    what = f"expected images of kinds that are read (docs/data.md), got {kinds}, {_base(names[0])} is one"
    return [Finding("image-of-unread-kind", _folder(names[0]), what, "left out")]


def aside(folder: str, pictures: Sequence[str]) -> Finding:
    """The finding of a folder whose pictures are no data."""
    what = f"expected images of the data set, got {_count(pictures)} beside it, {_base(pictures[0])} is one"
    return Finding("pictures-aside", folder, what, "left out")


def by_folder(images: Sequence[str]) -> dict[str, list[str]]:
    """Images by the folder they lie in, in their order; `.` is the root."""
    found = defaultdict(list)
    for image in images:
        found[_folder(image)].append(image)
    return dict(found)


def _count(pictures: Sequence[str]) -> str:
    return "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"


def _one(image: str, wanted: str) -> Finding:
    return Finding("image-without-annotation", image, f"expected {wanted}, got none", "image left out")


def _folder(image: str) -> str:
    return image.rpartition("/")[0] or "."


def _base(image: str) -> str:
    return PurePosixPath(image).name
