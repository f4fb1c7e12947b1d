"""What a data set is, whatever format it came in: categories, and images with their objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolox_core.structures import Objects

LARGEST_ID = 2**63 - 1  # ids become int64


@dataclass(frozen=True)
class Category:
    """A kind of object. `category_id` is the data set's own id; a class index is a position in the list."""

    category_id: int
    name: str


@dataclass(frozen=True)
class ImageRecord:
    """One image and its objects, as its annotation says (not yet checked)."""

    image_id: int
    file_name: str  # relative to the records' image root, with forward slashes
    height: int  # px, as annotated; 0 where the annotation does not say
    width: int
    objects: Objects = field(default_factory=Objects)  # source px
    split: str | None = None  # train, val or test where the data set brings its own split
    annotation: str = ""  # where the objects were read, for messages: "annotations/cat.xml"


@dataclass(frozen=True)
class DatasetRecords:
    """A whole data set."""

    image_root: Path
    categories: tuple[Category, ...]
    images: Sequence[ImageRecord]
    fetch: Callable[[str], Path] | None = None  # brings an image here by its file name, where image_root is elsewhere
    value_range: tuple[float, float] | None = None  # how samples of more than 8 bits are read (conversion.py)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(category.name for category in self.categories)

    @property
    def category_ids(self) -> tuple[int, ...]:
        return tuple(category.category_id for category in self.categories)

    def path(self, record: ImageRecord) -> Path:
        """Where the image lies."""
        return self.image_root / record.file_name


def described(record: ImageRecord, class_names: Sequence[str]) -> list[str]:
    """What the annotation says of the image, a text an object, whatever the order: equal lists mean equal truth."""
    return sorted(f"{class_names[label]} {box} {ignore}" for box, label, ignore in record.objects.rows())
