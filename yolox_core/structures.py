"""The nouns that cross files, in NumPy alone; what lies on a device stands in batch.py.

Legend: G objects, N detections. Boxes are float32 xyxy, absolute pixels of the network input unless a name says
otherwise.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from yolox_core.config import DetectorSpec

if TYPE_CHECKING:
    import supervision

SHOWN = 5  # detections in a repr
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ImageArray = npt.NDArray[np.uint8]  # [height, width, 3] BGR


@dataclass(frozen=True)
class Objects:
    """The objects of an image, or of many one after another; rows belong together. Never changed in place."""

    boxes_G4: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))  # xyxy, px of their image
    labels_G: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))  # class index
    ignore_G: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))  # crowd: neither object nor background

    @classmethod
    def of(cls, rows: Iterable[tuple[Sequence[float], int, bool]]) -> "Objects":
        """From a box, a label, and whether it is a crowd, for each."""
        boxes, labels, ignore = list(zip(*rows, strict=True)) or ((), (), ())
        boxes_G4 = np.asarray(boxes, np.float32).reshape(-1, 4)
        return cls(boxes_G4, np.asarray(labels, np.int64), np.asarray(ignore, np.bool_))

    @classmethod
    def joined(cls, parts: Iterable["Objects"]) -> "Objects":
        """All objects of `parts`, in order."""
        columns = zip(*((part.boxes_G4, part.labels_G, part.ignore_G) for part in (cls(), *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def __len__(self) -> int:
        return len(self.labels_G)

    def rows(self) -> Iterator[tuple[list[float], int, bool]]:
        """What `of` takes."""
        return zip(self.boxes_G4.tolist(), self.labels_G.tolist(), self.ignore_G.tolist(), strict=True)

    def __getitem__(self, rows: BoolArray | IntArray | slice) -> "Objects":
        """The objects of a mask, or of some rows."""
        return Objects(self.boxes_G4[rows], self.labels_G[rows], self.ignore_G[rows])

    @property
    def without_crowds(self) -> "Objects":
        """Those that are to be found."""
        return self[~self.ignore_G]

    def moved(self, boxes_G4: FloatArray) -> "Objects":
        """The same objects with their boxes elsewhere."""
        return replace(self, boxes_G4=boxes_G4.astype(np.float32, copy=False))

    def labelled(self, labels_G: IntArray) -> "Objects":
        """The same objects, of other classes."""
        return replace(self, labels_G=labels_G)

    def scaled(self, scale: float) -> "Objects":
        """The same objects in an image `scale` times as large."""
        return self.moved(self.boxes_G4 * np.float32(scale))


@dataclass(frozen=True)
class Sample:
    """One training or evaluation image as the network will see it, with its objects; nothing padded."""

    image: ImageArray
    objects: Objects
    image_id: int
    source_size: tuple[int, int]  # (height, width) of the image on disk
    scale: float  # network pixels per source pixel (letterbox); 1.0 where a sample has no single source


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """What was found in one image, best first. N objects."""

    boxes: FloatArray  # [N, 4] x1, y1, x2, y2 in pixels of the image that was given
    scores: FloatArray  # [N] objectness x class probability, 0 to 1
    labels: IntArray  # [N] index into the model's class names
    spec: DetectorSpec  # of the model that found them

    @property
    def names(self) -> npt.NDArray[np.str_]:
        """[N] the class names themselves."""
        return np.array([self.spec.class_names[label] for label in self.labels], dtype=np.str_)

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        """`Detections(2 objects: dog 0.86 [132, 207, 325, 543]; ...)`."""
        objects = f"{len(self)} object{'' if len(self) == 1 else 's'}"
        rest = f"; and {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        return f"Detections({objects}: {self.in_words(SHOWN)}{rest})" if len(self) else "Detections(nothing)"

    def in_words(self, most: int | None = None) -> str:
        """`dog 0.86 [132, 207, 325, 543]; ...`: boxes as corners, rounded."""
        parts = [
            f"{name} {score:.2f} [{', '.join(str(round(float(side))) for side in box)}]"
            for name, score, box in list(zip(self.names, self.scores, self.boxes, strict=True))[:most]
        ]
        return "; ".join(parts) or "nothing"

    def to_json(self, file_name: str = "", image_id: int = 1, *_: object) -> list[dict[str, Any]]:
        """COCO results plus names; boxes as [x, y, width, height] in source pixels.

        What comes after is passed over: models that were registered by earlier releases give names and ids here.
        """
        return [
            {
                "file_name": file_name,
                "image_id": image_id,
                "category_id": self.spec.category_ids[label],
                "category_name": self.spec.class_names[label],
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "score": float(score),
            }
            for (x1, y1, x2, y2), score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]

    def to_supervision(self) -> "supervision.Detections":
        """For supervision's annotators, zones and trackers."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes, confidence=self.scores, class_id=self.labels, data={"class_name": self.names}
        )
