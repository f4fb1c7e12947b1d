"""Pascal VOC: one XML file an image, and lists of names for the splits in ImageSets/Main.

A box is taken as it stands, xyxy: the devkit counts pixels from 1, most tools of today write from 0, and nothing in
a file tells which; half a pixel of doubt is smaller than any annotator's. Objects marked `difficult` are ordinary
objects. Category ids count from 1 in the order of names.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree import ElementTree

from pipeline.data.parsing.box_builder import finite_numbers, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.split_names import split_of_folders
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import read_xml
from yolox_core.data.records import DatasetRecords

_ROOT_TAG = re.compile(rb"<annotation[\s>]")
_IN_CLASS = re.compile(r"\s+(-1|0|1)$")  # the lists of one class say so behind each name
_HELD_OUT_FIRST = ("test", "val", "train", "trainval")  # where lists overlap, an image must not be trained on
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def annotation_files(listing: Listing) -> list[str]:
    """The folder's VOC files: *.xml that begin an <annotation>."""
    return [name for name in listing.ending(".xml") if _looks_like_voc(listing, name)]


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All annotated images. An image without XML is not annotated: it is left out, and counted."""
    found = DatasetBuilder(listing)
    splits = _splits(listing, found.findings)
    parsed = [(name, root) for name in files if (root := read_xml(listing, name, found.findings)) is not None]
    named: set[str | None] = set()
    for name, root in parsed:
        image, called = _image(listing, name, root)
        named.add(image)
        split = splits.get(PurePosixPath(image or "").stem) or split_of_folders(name)
        size = size_of(root.findtext("size/height"), root.findtext("size/width"))
        annotated = Annotated(name, size, split, image_id=0)
        if found.claim(image, called, annotated):
            _add_objects(found, annotated, root)
    classes = {_class(entry) for _, root in parsed for entry in root.iter("object")} - {""}
    return found.records(sorted(classes), "an XML file for it", named), found.findings


def _looks_like_voc(listing: Listing, name: str) -> bool:
    try:
        with (listing.root / name).open("rb") as file:
            return _ROOT_TAG.search(file.read(4096)) is not None
    except OSError:
        return False


def _splits(listing: Listing, findings: list[Finding]) -> dict[str, str]:
    """The split of each listed image, by the stem of its name."""
    splits: dict[str, str] = {}
    lists = [(PurePosixPath(name).stem.lower(), name) for name in listing.ending(".txt") if _is_list(name)]
    for word in _HELD_OUT_FIRST:
        split = "train" if word == "trainval" else word
        for file in [name for called, name in lists if called == word]:
            for stem in _listed(listing, file, findings):
                if word != "trainval" and splits.get(stem, split) != split:
                    what = f"{stem} is in {splits[stem]}.txt too"
                    findings.append(Finding("split-conflict", file, what, f"kept in {splits[stem]}"))
                splits.setdefault(stem, split)
    return splits


def _listed(listing: Listing, file: str, findings: list[Finding]) -> list[str]:
    """The stems of the images that a list names; names of no image are counted in one finding."""
    paths = [PurePosixPath(image) for image in listing.images]
    stem_of = {path.name: path.stem for path in paths} | {path.stem: path.stem for path in paths}
    lines = [line.strip() for line in listing.read_text(file).split("\n") if line.strip()]
    stems = {line: _stem(line, stem_of) for line in lines}
    lost = [line for line, stem in stems.items() if stem is None]
    if lost:
        what = f"expected names of images, got {len(lost)} of {len(stems)} that match none, first {lost[0]!r}"
        findings.append(Finding("unknown-name-in-list", file, what, "names ignored"))
    return [stem for stem in stems.values() if stem is not None]


def _stem(line: str, stem_of: Mapping[str, str]) -> str | None:
    """The image that a line names: by the whole of it, for names hold blanks, else by what stands before a flag."""
    return stem_of.get(line) or stem_of.get(_IN_CLASS.sub("", line))


def _is_list(name: str) -> bool:
    folders = [folder.lower() for folder in PurePosixPath(name).parts[:-1]]
    return "imagesets" in folders and folders[-1] in ("imagesets", "main")


def _image(listing: Listing, name: str, root: ElementTree.Element) -> tuple[str | None, str]:
    """The image by the XML's own name first, for `filename` often outlives a renaming; and what was sought."""
    written = (root.findtext("filename") or "").strip()
    stem = PurePosixPath(name).stem
    image = listing.find_image_by_stem(stem, name, written) or (listing.find_image([written]) if written else None)
    return image, f"{stem}.*" + (f" or {written}" if written else "")


def _class(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _add_objects(found: DatasetBuilder, annotated: Annotated, root: ElementTree.Element) -> None:
    for position, entry in enumerate(root.iter("object"), 1):
        texts = [(entry.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS]
        box = finite_numbers(texts)
        place = f"{annotated.annotation}: object {position}"
        if not _class(entry):
            found.drop("unknown-class", place, "expected a name, got none")
        elif box is None:
            what = f"expected {', '.join(CORNERS)} in finite numbers, got {shown(texts)}"
            found.drop("box-not-numbers", place, what)
        else:
            annotated.add(_class(entry), box)
