"""The list of checks, all that can be found wrong with a data set: how bad it is, what it means, what helps.

To add one, give its finding a code where it is found (boxes: doctor.py, whole sets: dataset_checks.py, images:
scan/image_metadata.py; what a conversion loses: yolox_core/data/decoding), and that code an entry here: tables, pages
and `--fix` follow.

A finding's `code` is a key here. `error`: something was or will be dropped, or figures will mislead. `warning`: it is
used, and probably not what was meant. `note`: it is handled, and worth knowing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from pipeline.data.parsing.findings import Finding

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Fix(Enum):
    """What `yolox doctor --fix` does about a finding in its copy."""

    NOTHING = auto()
    APPLIED = auto()  # what was done when it was found: an object left out, a box cut
    REWRITE = auto()  # the image written anew, upright, 8 bits, three channels
    RENAME = auto()  # the image called by what it is
    ONE_COPY = auto()  # one of several equal images left
    ANNOTATED_SIZE = auto()  # the size stays as annotated: whether its boxes fit only a person can see


@dataclass(frozen=True)
class Check:
    """One kind of finding."""

    severity: Severity
    means: str
    remedy: str
    fix: Fix = Fix.NOTHING
    alike: str = ""  # of a finding about one entry: what it may be where nearly all entries of a file have it

    @property
    def fixed(self) -> bool:
        """Whether the copy of `--fix` is without it."""
        return self.fix not in (Fix.NOTHING, Fix.ANNOTATED_SIZE)


_AGAIN = "`--fix` writes it again as plain 8-bit color."
_DROPPED = "Mend the annotation; `--fix` writes the set without it."

CATALOG: dict[str, Check] = {
    # reading
    "unreadable-annotation": Check(
        "error", "An annotation, or a file of them, is not of its format.", _DROPPED, Fix.APPLIED
    ),
    "missing-image": Check(
        "error", "An annotation speaks of an image that is not there.", "Add it, or mend its name.", Fix.APPLIED
    ),
    "image-without-annotation": Check(
        "warning", "No annotation speaks of this image; it is left out.", "Annotate it, or remove it.", Fix.APPLIED
    ),
    "image-doubtful": Check(
        "warning",
        "Two images may be meant, or one of another suffix than is written.",
        "Look at its boxes; rename or remove one.",
        Fix.APPLIED,
    ),
    "image-of-unread-kind": Check(
        "warning", "Pictures that no decoder here opens; they are left out.", "Save them as JPEG or PNG.", Fix.APPLIED
    ),
    "pictures-aside": Check(
        "note", "Pictures of a folder beside the data: masks, plots, drawn copies. Left out.", "Nothing.", Fix.APPLIED
    ),
    "labels-of-results": Check(
        "warning",
        "Labels in a folder of results (runs, predictions) are a model's detections; left out.",
        "Name the folder in data.yaml if they are data.",
        Fix.APPLIED,
    ),
    "folder-without-labels": Check(
        "warning",
        "No image of this folder has a label file: all are taken as background.",
        "If they hold objects, annotate them; if they are no data, remove the folder.",
        Fix.APPLIED,
    ),
    "image-without-labels": Check(
        "note",
        "Images without a label file are taken as background.",
        "If they hold objects, annotate them.",
        Fix.APPLIED,
    ),
    "duplicate-annotation": Check(
        "error",
        "Two annotations are of one image; the first counts.",
        _DROPPED,
        Fix.APPLIED,
        alike="are these copies of one set?",
    ),
    "several-annotations": Check("note", "Several people annotated an image.", "Keep the right one.", Fix.APPLIED),
    "several-labels": Check("warning", "A shape has several labels; the first counts.", "Keep one.", Fix.APPLIED),
    "shape-without-box": Check(
        "note",
        "Lines, points and the like are no boxes.",
        "Nothing.",
        Fix.APPLIED,
        alike="was it annotated for something else than detection?",
    ),
    "box-turned": Check("note", "A turned box: the upright one around it counts.", "Nothing.", Fix.APPLIED),
    "not-a-file": Check(
        "warning",
        "A pipe, socket, device, link to itself, or an empty folder called like an image.",
        "Remove it.",
        Fix.APPLIED,
    ),
    "split-conflict": Check("warning", "An image stands in several splits.", "Keep one entry.", Fix.APPLIED),
    "split-names-nothing": Check(
        "warning",
        "An entry of data.yaml or obj.data for a split names no folder or list that is there.",
        "Mend the entry, or remove it.",
        Fix.APPLIED,
    ),
    "split-path-elsewhere": Check(
        "note", "A path of another machine; the end of it names images here.", "Nothing.", Fix.APPLIED
    ),
    "label-lines-unclear": Check(
        "warning",
        "Nothing says what the numbers of these labels are, and they may be two things.",
        "Compare some boxes with their pictures; say kpt_shape in data.yaml where they are key points.",
        Fix.APPLIED,
    ),
    "boxes-with-confidence": Check(
        "warning",
        "Boxes carry a confidence from 0 to 1: probably a model's detections, not labels.",
        "Use them only if a person has checked them.",
        Fix.APPLIED,
    ),
    "category-ids-differ": Check(
        "note", "Files of one set number the same classes apart; they are joined by name.", "Nothing.", Fix.APPLIED
    ),
    "crowd-not-said": Check("error", "This format has no word for a region of many objects.", "Write COCO instead."),
    "box-beyond-image": Check("warning", "It reaches out of the image; other tools may refuse that.", "Cut it first."),
    "duplicate-image-id": Check("error", "Two images have one id; the second is left out.", _DROPPED, Fix.APPLIED),
    "duplicate-image-entry": Check(
        "error", "Two entries are of one file; their boxes are joined.", _DROPPED, Fix.APPLIED
    ),
    "same-in-two-files": Check(
        "warning", "Two files hold the same boxes; each counts once.", "Remove one of the files.", Fix.APPLIED
    ),
    "unknown-image": Check(
        "error",
        "A box belongs to an image id that does not exist.",
        _DROPPED,
        Fix.APPLIED,
        alike="are the images those of another set?",
    ),
    "unknown-class": Check(
        "error",
        "A box is of a class that does not exist.",
        _DROPPED,
        Fix.APPLIED,
        alike="are the names of the classes those of another set?",
    ),
    "class-indices-from-one": Check(
        "error",
        "Indices of classes that count from 0 use every one but 0, and one too many: each may mean the class before.",
        "Compare some with their pictures; subtract 1 from all.",
    ),
    "no-class-names": Check(
        "warning", "Classes have numbers and no names.", "Add data.yaml or classes.txt.", Fix.APPLIED
    ),
    "class-names-differ": Check(
        "warning",
        "Two lists of class names differ; the outermost counts, or each for its own folder.",
        "Keep the right one.",
        Fix.APPLIED,
    ),
    "unknown-name-in-list": Check(
        "warning", "A list of a split names images that are not there.", "Mend the list.", Fix.APPLIED
    ),
    "box-not-numbers": Check(
        "error",
        "A box is not made of numbers.",
        _DROPPED,
        Fix.APPLIED,
        alike="are these annotations of another format?",
    ),
    "box-from-outline": Check(
        "note", "Boxes were put around outlines, where there were no boxes.", "Nothing.", Fix.APPLIED
    ),
    # images
    "unreadable-image": Check(
        "error", "No decoder accepts the file.", "Replace it; `--fix` leaves it out.", Fix.APPLIED
    ),
    "truncated-image": Check(
        "error", "The file's end is missing.", "Copy it again; `--fix` leaves it out.", Fix.APPLIED
    ),
    "size-wrong": Check(
        "warning",
        "The annotation says another size: perhaps of another image.",
        "Look at its boxes.",
        Fix.ANNOTATED_SIZE,
    ),
    "size-transposed": Check(
        "warning",
        "Height and width change places: perhaps annotated before it was turned.",
        "Look at its boxes.",
        Fix.ANNOTATED_SIZE,
    ),
    "size-scaled": Check(
        "warning", "Annotated on a copy of another size: boxes are off by that.", "Scale the boxes.", Fix.ANNOTATED_SIZE
    ),
    "image-mislabelled": Check(
        "warning", "The name says one format, the content is another.", "`--fix` renames it.", Fix.RENAME
    ),
    "image-animated": Check("warning", "Several pictures in one file; only the first is used.", _AGAIN, Fix.REWRITE),
    "image-enormous": Check("warning", "It takes much memory and time to decode.", "Shrink or cut it beforehand."),
    "image-16-bit": Check("note", "Used with 8 bits a channel: dark scenes may lose detail.", _AGAIN, Fix.REWRITE),
    "image-few-levels": Check(
        "warning",
        "Of more than 8 bits so few levels are left that shapes may be gone: its values fill a part of their range.",
        "Say `data.range: [low, high]` in params.yaml, the same for all images.",
    ),
    "image-cmyk": Check("note", "Made for print; other programs may show other colors.", _AGAIN, Fix.REWRITE),
    "image-palette": Check("note", "Few colors; used as if it were plain.", _AGAIN, Fix.REWRITE),
    "image-alpha": Check("note", "Its transparency is dropped: what was invisible may show.", _AGAIN, Fix.REWRITE),
    "image-grayscale": Check("note", "Used, as three equal channels.", "Nothing; expect color to matter less."),
    "image-rotated": Check(
        "note",
        "Turned upright by its EXIF tag; tools that ignore it see it turned.",
        "`--fix` stores it upright.",
        Fix.REWRITE,
    ),
    "image-duplicate": Check("warning", "The same file twice: it counts twice.", "`--fix` keeps one.", Fix.ONE_COPY),
    "copies-differ": Check(
        "warning",
        "The same picture has other boxes in its copy.",
        "Decide which are right; `--fix` keeps one.",
        Fix.APPLIED,
    ),
    "image-similar": Check("note", "A resized, recompressed or mirrored copy.", "Remove one."),
    "duplicate-across-splits": Check(
        "error",
        "The same picture is trained on and measured on: figures are too good.",
        "`--fix` keeps the one held out.",
        Fix.ONE_COPY,
    ),
    "similar-across-splits": Check(
        "error", "A copy of a picture that is measured on is trained on: figures are too good.", "Put both on one side."
    ),
    # boxes
    "box-not-finite": Check(
        "error",
        "A coordinate is infinite or no number.",
        _DROPPED,
        Fix.APPLIED,
        alike="are these annotations of another format?",
    ),
    "box-inverted": Check(
        "error",
        "Its right side lies left of its left one, or the bottom above the top.",
        "`--fix` turns its corners where both lie in the image, else leaves it out.",
        Fix.APPLIED,
        alike="are these x, y, width, height where corners are expected?",
    ),
    "box-without-area": Check(
        "error",
        "It has no width or no height.",
        _DROPPED,
        Fix.APPLIED,
        alike="are these points, or shares of the image's size?",
    ),
    "box-outside": Check(
        "error",
        "It lies wholly outside the image.",
        _DROPPED,
        Fix.APPLIED,
        alike="are these pixels where shares of the image's size are expected, or boxes of other images?",
    ),
    "box-clipped": Check("warning", "It reaches out of the image.", "`--fix` cuts it.", Fix.APPLIED),
    "box-duplicate": Check("warning", "The same box of the same class twice.", "`--fix` keeps one.", Fix.APPLIED),
    "box-twice-named": Check("warning", "The same box under two classes: one of them is wrong.", "Remove one."),
    "box-covers-all": Check(
        "warning", "It covers the whole image: perhaps a label of the image, not of an object.", "Look."
    ),
    "box-tiny": Check(
        "warning", "Less than 2 px wide or high in the image itself.", "Look: often a slip of the mouse."
    ),
    "boxes-may-be-corners": Check(
        "error",
        "Boxes read as a corner and a size fit their images only as two corners.",
        "Compare some with their pictures; write x, y, width, height, as COCO has it.",
    ),
    "boxes-may-be-shares": Check(
        "error",
        "Boxes of pixels are less than a pixel large: they may be shares of the image's size.",
        "Compare some with their pictures; write pixels.",
    ),
    "crowd": Check("note", "Regions of many objects: neither object nor background.", "Nothing."),
    # the set
    "no-usable-box": Check("error", "No image has a box that can be used.", "Nothing can be trained on it: annotate."),
    "category-id-gaps": Check("note", "Ids of classes have gaps; results keep these ids.", "Nothing."),
    "class-names-alike": Check(
        "warning", "Names differ only in case, space or punctuation: one class in two halves.", "Map one to the other."
    ),
    "class-unused": Check("warning", "No object is of these classes.", "Annotate some, or remove the classes."),
    "class-not-in-split": Check(
        "warning", "A class has no object to train or to measure on.", "Another split, or more images."
    ),
    "imbalance": Check("warning", "One class has many times the objects of another.", "Annotate more of the rare one."),
    "few-objects": Check("note", "So few objects say little about a detector.", "Annotate more of this class."),
    "too-crowded": Check(
        "error", "More objects in a place than there are points to find them at this input size.", "A larger input."
    ),
    "beyond-coco-limit": Check(
        "note",
        "Images with more objects of a class than COCO's map counts: even a perfect detector stays below 1.",
        "Compare detectors by map_unlimited, which stands beside map; or cut the images in tiles.",
    ),
    "too-small-for-input": Check(
        "warning",
        "So small at this input size that the finest stride hardly sees them.",
        "The input size that it names.",
    ),
}


def severity(code: str) -> Severity:
    """How bad a finding of this code is."""
    return CATALOG[code].severity


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first of the worst findings; None where there is none."""
    return min(findings, key=lambda finding: SEVERITIES.index(severity(finding.code)), default=None)
