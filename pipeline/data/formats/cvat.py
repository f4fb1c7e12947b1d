"""CVAT for images 1.1: one XML file with every image and its shapes in pixels.

A box, polygon, ellipse or mask counts as the upright box around it; CVAT turns a box or ellipse about its centre.
Classes stand in the order of the file's own list of labels.
Format: docs.cvat.ai, "CVAT for images".
"""

import re
from xml.etree import ElementTree

from pipeline.data.parsing.box_builder import Point, around_ellipse, around_turned, enclosing, finite_numbers, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder, class_name, whole_id
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.split_names import split_of_folders, split_of_name, splits_of_files
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import files_with, read_xml
from yolox_core.data.records import DatasetRecords

_ROOT_TAG = re.compile(rb"<annotations[\s>]")
_NUMBERS = {  # the attributes that say where a shape is
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "mask": ("left", "top", "width", "height"),
}


def annotation_files(listing: Listing) -> list[str]:
    """The folder's CVAT files: *.xml that begin <annotations>."""
    return files_with(listing, ".xml", _ROOT_TAG)


def read(listing: Listing, files: list[str]) -> tuple[DatasetRecords, list[Finding]]:
    """All listed images; one without a shape is background. An image in no list is left out, and counted."""
    found = DatasetBuilder(listing)
    names: list[str] = []
    split_of = splits_of_files(files)
    for file in files:
        root = read_xml(listing, file, found.findings)
        if root is None:
            continue
        names += _labels(root)
        tracks = len(root.findall("track"))
        if tracks:
            what = f"expected images, got {tracks} tracks of a video: export them as `CVAT for images 1.1`"
            found.findings.append(Finding("unreadable-annotation", file, what, "tracks left out"))
        for entry in root.findall("image"):
            _add_image(found, file, entry, split_of[file])
    return found.records(names), found.findings


def _labels(root: ElementTree.Element) -> list[str]:
    """The labels of the task or project; those with a parent are a skeleton's joints."""
    found = (label for meta in root.findall("meta") for label in meta.iter("label") if label.find("parent") is None)
    return [name for name in (class_name(label.findtext("name")) for label in found) if name]


def _add_image(found: DatasetBuilder, file: str, entry: ElementTree.Element, split_of_file: str | None) -> None:
    name = (entry.get("name") or "").strip()
    annotated = Annotated(
        annotation=f"{file}: image {'/'.join(filter(None, (entry.get('subset'), name or '?')))}",
        size=size_of(entry.get("height"), entry.get("width")),
        split=split_of_name(entry.get("subset") or ""),
        image_id=whole_id(entry.get("id")),
    )
    image = _image(found.listing, file, entry.get("subset") or "", name) if name else Match()
    annotated.words = split_of_file or split_of_folders(image.image or "")
    if not found.claim(image, name or "nothing", annotated):
        return
    for number, shape in enumerate(entry, 1):
        _add_shape(found, annotated, shape, f"{annotated.annotation}: {_tag(shape)} {number}")


def _image(listing: Listing, file: str, subset: str, name: str) -> Match:
    """The image of an entry; a project keeps each subset's in a folder of its name, for tasks have names in common."""
    inside = listing.locate(file, f"{subset}/{name}") if subset else Match()
    return inside if inside.image else listing.locate(file, name)


def _add_shape(found: DatasetBuilder, annotated: Annotated, shape: ElementTree.Element, where: str) -> None:
    label = class_name(shape.get("label"))
    kind = _tag(shape)
    if kind != "polygon" and kind not in _NUMBERS:
        found.drop("shape-without-box", where, f"expected {', '.join(_NUMBERS)} or polygon, got {kind}")
        return
    if label is None:
        found.drop("unknown-class", where, "expected a label, got none")
        return
    points = _polygon(shape.get("points") or "") if kind == "polygon" else _corners(shape)
    turn = finite_numbers([shape.get("rotation") or 0])
    if points is None or turn is None:
        found.drop("box-not-numbers", where, f"expected its place in finite numbers, got {shown(shape.attrib)}")
        return
    box = enclosing(points)
    if turn[0] % 360:
        box = around_ellipse(box, turn[0]) if kind == "ellipse" else around_turned(box, turn[0])
        found.note_turned(where, turn[0])
    annotated.add(label, box)


def _tag(shape: ElementTree.Element) -> str:
    return str(shape.tag)[:40]


def _polygon(text: str) -> list[Point] | None:
    """The points of `x,y;x,y;x,y`; None where there are fewer than three, or one is not two numbers."""
    pairs = [finite_numbers(pair.split(",")) for pair in text.split(";")]
    points = [(pair[0], pair[1]) for pair in pairs if pair and len(pair) == 2]
    return points if len(points) == len(pairs) >= 3 else None


def _corners(shape: ElementTree.Element) -> list[Point] | None:
    """Two corners of a box, ellipse or mask that is not turned; None where they are not said in numbers."""
    numbers = finite_numbers(shape.get(key) for key in _NUMBERS[_tag(shape)])
    if numbers is None:
        return None
    a, b, c, d = numbers
    if shape.tag == "ellipse":
        return [(a - c, b - d), (a + c, b + d)]
    return [(a, b), (a + c, b + d)] if shape.tag == "mask" else [(a, b), (c, d)]
