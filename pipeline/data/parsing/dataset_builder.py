"""The annotated images of a folder while they are found: each once, its objects by class name until all are known."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.text import is_utf8, on_one_line
from yolox_core.data.image_header import image_size
from yolox_core.data.records import LARGEST_ID, Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects

Box = Sequence[float]  # xyxy, source px


@dataclass
class Annotated:
    """One image and what its annotation says."""

    annotation: str
    size: tuple[int, int] = (0, 0)  # (height, width) px; 0 where the annotation does not say
    split: str | None = None
    image_id: int = -1
    objects: list[tuple[str, Box, bool]] = field(default_factory=list)  # (class name, box, whether it is a crowd)

    def add(self, name: str, box: Box, ignore: bool = False) -> None:
        self.objects.append((name, box, ignore))

    def record(self, file_name: str, label_of: Mapping[str, int]) -> ImageRecord:
        """The image with these objects, by class index."""
        objects = Objects.of((box, label_of[name], ignore) for name, box, ignore in self.objects)
        annotation = on_one_line(self.annotation)
        return ImageRecord(self.image_id, file_name, *self.size, objects, self.split, annotation)


@dataclass
class DatasetBuilder:
    """What was found so far."""

    listing: Listing
    findings: list[Finding] = field(default_factory=list)
    images: dict[str, Annotated] = field(default_factory=dict)

    def claim(self, image: str | None, called: str, new: Annotated) -> bool:
        """Keep `new` as the annotation of `image`; False, with a finding, where that is missing or has one."""
        if image is None or not self.listing.exists(image):
            code, what = "missing-image", f"expected an image called like {called}, got none"
        elif image in self.images:
            code, what = "duplicate-annotation", f"{image} has an annotation already, {self.images[image].annotation}"
        else:
            self.images[image] = new
            return True
        self.findings.append(Finding(code, new.annotation, what, "annotation left out"))
        return False

    def drop(self, code: str, where: str, what: str) -> None:
        """Note an object that cannot be used."""
        self.findings.append(Finding(code, where, what, "box dropped"))

    def note_turned(self, where: str, degrees: float) -> None:
        """Note that a box is the upright one around a turned one."""
        what = f"expected an upright box, got one turned by {degrees:g} degrees"
        self.findings.append(Finding("box-turned", where, what, "the upright box around it kept"))

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

        A finding each of images that nobody annotated, which lack what is `wanted`, but for `known` ones.
        """
        for image in self.listing.images:
            if image not in self.images and image not in known:
                lost = f"expected {wanted}, got none"
                self.findings.append(Finding("image-without-annotation", image, lost, "image left out"))
        used = {name for annotated in self.images.values() for name, _, _ in annotated.objects}
        label_of = {name: label for label, name in enumerate(dict.fromkeys([*names, *sorted(used)]))}
        categories = tuple(Category(label + 1, name) for name, label in label_of.items())
        images = [annotated.record(name, label_of) for name, annotated in sorted(self.images.items())]
        return DatasetRecords(self.listing.root, categories, images)


def class_name(value: object) -> str | None:
    """A class's name as a document gives it: a text or a number; None where it is neither, or empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    name = str(value).strip()
    return name if name and is_utf8(name) else None


def whole_id(value: object) -> int:
    """An image's id as a document gives it; -1, which no image keeps, where it is no whole number."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # digits of an int64
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return -1
    return value if 0 <= value <= LARGEST_ID else -1
