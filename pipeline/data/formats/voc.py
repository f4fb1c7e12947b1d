"""Pascal VOC: one XML file an image, and lists of names for the splits in ImageSets/Main, or called by their split.

A box is taken as it stands, xyxy: the devkit counts pixels from 1, most tools of today write from 0, and nothing in
a file tells which; half a pixel of doubt is smaller than any annotator's. Objects marked `difficult` are ordinary
objects. Category ids count from 1 in the order of names. Where an object has a turned box or an outline alone, the
upright box around it counts.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree

from pipeline.data.formats import voc_shapes
from pipeline.data.parsing.box_builder import enclosing, finite_numbers, size_of
from pipeline.data.parsing.dataset_builder import Annotated, DatasetBuilder
from pipeline.data.parsing.encodings import as_utf8
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.image_match import match_files
from pipeline.data.parsing.split_names import leaves_some_to_train, split_of_folders, split_of_name, split_of_word
from pipeline.data.parsing.text import shown
from pipeline.data.parsing.xml_json import read_xml
from yolox_core.data.records import DatasetRecords

_ROOT_TAG = re.compile(rb"<annotation[\s>]")
_BEHIND = re.compile(r"\s+(-1|0|1|\S+\.xml)$")  # a flag in the lists of one class, the XML file in those of Paddle
_HELD_OUT_FIRST = ("test", "val", "train", "trainval")  # where lists overlap, an image must not be trained on
_LOOKED_AT = 4096  # bytes at the beginning
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
    images = match_files(listing, {name: _written(root) for name, root in parsed})
    for name, root in parsed:
        image = images[name]
        named.add(image.image)
        words = split_of_folders(name) or split_of_folders(image.image or "")
        annotated = Annotated(name, _size(root), splits.get(image.image or ""), 0, words=words)
        if found.claim(image, _called(name, root), annotated):
            _add_objects(found, annotated, root)
    classes = {_class(entry) for _, root in parsed for entry in root.iter("object")} - {""}
    return found.records(sorted(classes), "an XML file for it", named), found.findings


def _looks_like_voc(listing: Listing, name: str) -> bool:
    try:
        with (listing.root / name).open("rb") as file:
            return _ROOT_TAG.search(as_utf8(file.read(_LOOKED_AT))) is not None
    except OSError:
        return False


def _splits(listing: Listing, findings: list[Finding]) -> dict[str, str]:
    """The split of each image that a list of ImageSets names, else one called train.txt, val_list.txt and the like.

    The latter make no split that leaves nothing to train.
    """
    texts = listing.ending(".txt")
    lists = [name for name in texts if _is_list(name)]
    if lists:
        return _splits_of(listing, lists, findings)
    others = [name for name in texts if _word(name) and "imagesets" not in PurePosixPath(name.lower()).parts]
    splits = _splits_of(listing, others, findings)
    return splits if leaves_some_to_train(map(splits.get, listing.images)) else {}


def _splits_of(listing: Listing, lists: Sequence[str], findings: list[Finding]) -> dict[str, str]:
    """The split of each image that one of the lists names."""
    splits: dict[str, str] = {}
    alike = _images_by_name(listing) if lists else {}
    for word in _HELD_OUT_FIRST:
        split = "train" if word == "trainval" else word
        for file in [name for name in lists if _word(name) == word]:
            for image in _listed(listing, file, alike, findings):
                if word != "trainval" and splits.get(image, split) != split:
                    what = f"expected an image in one list, got {PurePosixPath(image).stem} in those of two splits"
                    findings.append(Finding("split-conflict", file, what, f"kept in {splits[image]}"))
                splits.setdefault(image, split)
    return splits


def _word(name: str) -> str | None:
    """Which list a file is: train, val, test or trainval; CVAT calls them Train.txt, Paddle train_list.txt."""
    stem = PurePosixPath(name).stem
    if _is_list(name):
        return "trainval" if stem.lower().startswith("trainval") else split_of_word(stem)
    return split_of_name(stem)


def _images_by_name(listing: Listing) -> dict[str, list[str]]:
    """The images of each name, with and without their suffixes."""
    alike: dict[str, list[str]] = defaultdict(list)
    for image in listing.images:
        path = PurePosixPath(image)
        for name in {path.name, path.stem}:
            alike[name].append(image)
    return alike


def _listed(listing: Listing, file: str, alike: Mapping[str, list[str]], findings: list[Finding]) -> list[str]:
    """The images that a list names; names of no image are counted in one finding."""
    lines = [line.strip() for line in listing.read_text(file).split("\n") if line.strip()]
    home = str(PurePosixPath(*PurePosixPath(file).parts[: _place_of_sets(file)])) if _is_list(file) else "."
    images = {line: _of_line(line, alike, home) for line in lines}
    lost = [line for line, found in images.items() if not found]
    if lost and (_is_list(file) or len(lost) < len(images)):  # any text may be called test.txt
        what = f"expected names of images, got {len(lost)} of {len(images)} that match none, first {lost[0]!r}"
        findings.append(Finding("unknown-name-in-list", file, what, "names ignored"))
    return [image for found in images.values() for image in found]


def _of_line(line: str, alike: Mapping[str, list[str]], home: str) -> list[str]:
    """The images that a line names: by the whole of it, for names hold blanks, else by what stands before a flag or
    the name of the XML file.

    Of several those in folders that it names, then those of the same year as the list.
    """
    for written in (line, _BEHIND.sub("", line)):
        found = alike.get(PurePosixPath(written).name, [])
        within = [image for image in found if _ends(image, written)]
        found = within or found
        near = [image for image in found if home == "." or image.startswith(f"{home}/")]
        if found:
            return near or found
    return []


def _ends(image: str, written: str) -> bool:
    """Whether the image's path ends in what is written, with or without its suffix, by whole folders."""
    bare = f"/{PurePosixPath(image).with_suffix('')}"
    return f"/{image}".endswith(f"/{written}") or bare.endswith(f"/{written}")


def _place_of_sets(name: str) -> int:
    """How many folders lie above ImageSets."""
    return [folder.lower() for folder in PurePosixPath(name).parts[:-1]].index("imagesets")


def _is_list(name: str) -> bool:
    folders = [folder.lower() for folder in PurePosixPath(name).parts[:-1]]
    return "imagesets" in folders and folders[-1] in ("imagesets", "main")


def _size(root: ElementTree.Element) -> tuple[int, int]:
    """(height, width) px; LabelMe's web tool calls them rows and columns."""
    said = size_of(root.findtext("size/height"), root.findtext("size/width"))
    return said if any(said) else size_of(root.findtext("imagesize/nrows"), root.findtext("imagesize/ncols"))


def _written(root: ElementTree.Element) -> str:
    """The image's name as the XML has it, with its folder, which tells apart images of one name."""
    name, folder = ((root.findtext(key) or "").strip() for key in ("filename", "folder"))
    return f"{folder}/{name}" if name and folder and "/" not in name else name


def _called(name: str, root: ElementTree.Element) -> str:
    """What was sought, for a message."""
    written = (root.findtext("filename") or "").strip()
    return f"{written or PurePosixPath(name).stem + '.*'}"


def _class(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _add_objects(found: DatasetBuilder, annotated: Annotated, root: ElementTree.Element) -> None:
    for position, entry in enumerate(root.iter("object"), 1):
        if (entry.findtext("deleted") or "").strip() == "1":  # LabelMe's web tool keeps what was deleted
            continue
        place = f"{annotated.annotation}: object {position}"
        box = _corners(entry)
        outline = None if box else voc_shapes.outline(entry)
        if not _class(entry):
            found.drop("unknown-class", place, "expected a name, got none")
        elif box:
            annotated.add(_class(entry), box)
            found.note_confidence(place, {child.tag: child.text for child in entry})
        elif outline is None:
            texts = [(entry.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS]
            what = f"expected {', '.join(CORNERS)} in finite numbers, got {shown(texts)}"
            found.drop("box-not-numbers", place, what)
        else:
            annotated.add(_class(entry), enclosing(outline.points))
            if outline.degrees is None:
                found.note_outline(place)
            elif outline.degrees % 90:
                found.note_turned(place, outline.degrees)


def _corners(entry: ElementTree.Element) -> list[float] | None:
    return finite_numbers((entry.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS)
