"""The annotated images of a folder while they are found: each once, its objects by class name until all are known."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.parsing.box_builder import has_confidence, whole_number
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.left_out import left_out
from pipeline.data.parsing.matched_image import Match
from pipeline.data.parsing.split_names import splits_of
from pipeline.data.parsing.text import is_utf8
from yolox_core.data.image_io import image_size
from yolox_core.data.records import LARGEST_ID, Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError, on_one_line
from yolox_core.structures import Objects

Box = Sequence[float]  # xyxy, source px
TO_IGNORE = "__ignore__"  # LabelMe's word for a region that is neither object nor background; others took it over


@dataclass
class Annotated:
    """One image and what its annotation says."""

    annotation: str
    size: tuple[int, int] = (0, 0)  # (height, width) px; 0 where the annotation does not say
    split: str | None = None  # as it is written
    image_id: int = -1
    objects: list[tuple[str, Box, bool]] = field(default_factory=list)  # (class name, box, whether it is a crowd)
    words: str | None = None  # the split that names of files and folders speak of, where none is written

    def add(self, name: str, box: Box, ignore: bool = False) -> None:
        self.objects.append((name, box, ignore))

    def record(self, file_name: str, label_of: Mapping[str, int], split: str | None) -> ImageRecord:
        """The image with these objects, by class index; a region to ignore is one of every class."""
        plain = [(box, label_of[name], ignore) for name, box, ignore in self.objects if name != TO_IGNORE]
        ignored = [
            (box, label, True) for name, box, _ in self.objects if name == TO_IGNORE for label in label_of.values()
        ]
        objects = Objects.of(plain + ignored)
        annotation = on_one_line(self.annotation)
        return ImageRecord(self.image_id, file_name, *self.size, objects, split, annotation)


@dataclass
class DatasetBuilder:
    """What was found so far."""

    listing: Listing
    findings: list[Finding] = field(default_factory=list)
    images: dict[str, Annotated] = field(default_factory=dict)
    _turned: list[tuple[str, float]] = field(default_factory=list)
    _outlined: list[str] = field(default_factory=list)
    _confident: list[str] = field(default_factory=list)

    def claim(self, found: Match, called: str, new: Annotated) -> bool:
        """Keep `new` as the annotation of the image found; False, with a finding, where that is missing or has one."""
        image = found.image
        if image is None:
            code, what = "missing-image", f"expected an image called like {called}, got {found.got}"
        elif image in self.images:
            code, what = "duplicate-annotation", f"{image} has an annotation already, {self.images[image].annotation}"
        else:
            self.images[image] = new
            if found.doubt:
                self.findings.append(Finding("image-doubtful", new.annotation, found.doubt, f"{image} taken"))
            return True
        self.findings.append(Finding(code, new.annotation, what, "annotation left out"))
        return False

    def drop(self, code: str, where: str, what: str) -> None:
        """Note an object that cannot be used."""
        self.findings.append(Finding(code, where, what, "box dropped"))

    def note_turned(self, where: str, degrees: float) -> None:
        """Note that a box is the upright one around a turned one."""
        self._turned.append((where, degrees))

    def note_outline(self, where: str) -> None:
        """Note that a box was put around an outline, where its kind of annotation has boxes."""
        self._outlined.append(where)

    def note_confidence(self, where: str, entry: Mapping[str, object]) -> None:
        """Note that an object carries a model's confidence, if its entry does."""
        if has_confidence(entry):
            self._confident.append(where)

    def own_size(self, image: str) -> tuple[int, int] | None:
        """(height, width) px of the image's file, for annotations in shares; None where it is no readable image."""
        try:
            return image_size(self.listing.root / image)
        except InputError:
            return None

    def records(
        self, names: Iterable[str] = (), wanted: str = "an annotation of it", known: Collection[str | None] = ()
    ) -> DatasetRecords:
        """The data set. Classes stand in the order of `names`, then by name.

        Findings of images that nobody annotated, which lack what is `wanted`, but for `known` ones.
        """
        self.findings += left_out(self.listing, {*self.images, *known}, wanted)
        self._note_shapes()
        used = {name for annotated in self.images.values() for name, _, _ in annotated.objects}
        called = [name for name in [*names, *sorted(used)] if name != TO_IGNORE]
        label_of = {name: label for label, name in enumerate(dict.fromkeys(called))}
        categories = tuple(Category(label + 1, name) for name, label in label_of.items())
        split_of = splits_of({name: (annotated.split, annotated.words) for name, annotated in self.images.items()})
        images = [one.record(name, label_of, split_of[name]) for name, one in sorted(self.images.items())]
        return DatasetRecords(self.listing.root, categories, images)

    def _note_shapes(self) -> None:
        """One note of all boxes that are upright ones around others, and one of those around outlines."""
        if self._turned:
            where, degrees = self._turned[0]
            more = f", and {len(self._turned) - 1} more elsewhere" if len(self._turned) > 1 else ""
            what = f"expected an upright box, got one turned by {degrees:g} degrees{more}"
            self.findings.append(Finding("box-turned", where, what, "the upright box around it kept"))
        if self._outlined:
            what = f"expected a box, got {len(self._outlined)} outlines without one, this is the first"
            self.findings.append(Finding("box-from-outline", self._outlined[0], what, "box put around each outline"))
        if self._confident:
            what = f"expected annotations, got {len(self._confident)} boxes with a confidence: detections of a model?"
            self.findings.append(Finding("boxes-with-confidence", self._confident[0], what, "boxes kept"))


def class_name(value: object) -> str | None:
    """A class's name as a document gives it: a text or a number; None where it is neither, or empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    name = str(value).strip()
    return name if name and is_utf8(name) else None


def whole_id(value: object) -> int:
    """An image's id as a document gives it; -1, which no image keeps, where it is no whole number."""
    number = whole_number(value)
    return number if number is not None and 0 <= number <= LARGEST_ID else -1
