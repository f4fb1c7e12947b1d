"""Pascal VOC: one XML file an image, and lists of names for the splits in ImageSets/Main.

A box is taken as it stands, xyxy: the devkit counts pixels from 1, most tools of today write from 0, and nothing in
a file tells which; half a pixel of doubt is smaller than any annotator's. Objects marked `difficult` are ordinary
objects. Category ids count from 1 in the order of names.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree import ElementTree

from pipeline.data.parsing.box_builder import finite_numbers
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.split_names import split_of_folders
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import read_xml
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

_ROOT_TAG = re.compile(rb"<annotation[\s>]")
_IN_CLASS = re.compile(r"\s+(-1|0|1)$")  # the lists of one class say so behind each name
_HELD_OUT_FIRST = ("test", "val", "train", "trainval")  # where lists overlap, an image must not be trained on
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def annotation_files(listing: Listing) -> list[str]:
    """The folder's VOC files: *.xml that begin an <annotation>."""
    return [name for name in listing.ending(".xml") if _looks_like_voc(listing, name)]


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All annotated images. An image without XML is not annotated: it is left out, and counted."""
    findings: list[Finding] = []
    splits = _splits(listing, findings)
    parsed = [(name, root) for name in files if (root := read_xml(listing, name, findings)) is not None]
    names = sorted({_class(entry) for _, root in parsed for entry in root.iter("object")} - {""})
    label_of = {name: label for label, name in enumerate(names)}
    images: dict[str, ImageRecord] = {}
    named: set[str] = set()
    for name, root in parsed:
        image = _image(listing, name, root)
        named |= {image} if image else set()
        if image is None or image in images or not listing.exists(image):
            code, what = "missing-image", f"expected an image called like {_called(name, root)}, got none"
            if image in images:
                code, what = "duplicate-annotation", f"{image} has an annotation already, {images[image].annotation}"
            findings.append(Finding(code, name, what, "annotation left out"))
            continue
        split = splits.get(PurePosixPath(image).stem) or split_of_folders(name)
        images[image] = ImageRecord(0, image, *_size(root), _objects(root, name, label_of, findings), split, name)
    for image in listing.images:
        if image not in named:
            lost = "expected an XML file for it, got none"
            findings.append(Finding("image-without-annotation", image, lost, "image left out"))
    categories = tuple(Category(label + 1, name) for name, label in label_of.items())
    return DatasetRecords(listing.root, categories, [images[name] for name in sorted(images)]), findings


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


def _image(listing: Listing, name: str, root: ElementTree.Element) -> str | None:
    """The annotated image: the file of the XML's own name first, for `filename` often outlives a renaming."""
    written = (root.findtext("filename") or "").strip()
    by_stem = listing.find_image_by_stem(PurePosixPath(name).stem, name, written)
    return by_stem or (listing.find_image([written]) if written else None)


def _called(name: str, root: ElementTree.Element) -> str:
    written = (root.findtext("filename") or "").strip()
    return f"{PurePosixPath(name).stem}.*" + (f" or {written}" if written else "")


def _class(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _size(root: ElementTree.Element) -> tuple[int, int]:
    numbers = finite_numbers((root.findtext("size/height"), root.findtext("size/width")))
    return (int(numbers[0]), int(numbers[1])) if numbers else (0, 0)


def _objects(root: ElementTree.Element, name: str, label_of: dict[str, int], findings: list[Finding]) -> Objects:
    rows = []
    for position, entry in enumerate(root.iter("object"), 1):
        texts = [(entry.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS]
        box = finite_numbers(texts)
        place = f"{name}: object {position}"
        if not _class(entry):
            findings.append(Finding("unknown-class", place, "expected a name, got none", "box dropped"))
        elif box is None:
            what = f"expected {', '.join(CORNERS)} in finite numbers, got {shown(texts)}"
            findings.append(Finding("box-not-numbers", place, what, "box dropped"))
        else:
            rows.append((box, label_of[_class(entry)], False))
    return Objects.of(rows)
