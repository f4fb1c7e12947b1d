"""What was found in one image, with names: the answer of `pipeline.Predictor`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from yolox_core.config import DetectorSpec
from yolox_core.structures import Detections, FloatArray, IntArray

if TYPE_CHECKING:
    import supervision

SHOWN = 5  # objects in a repr


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """Objects of one image, best first. N objects; boxes as corners in pixels of the image that was given."""

    boxes: FloatArray  # [N, 4] x1, y1, x2, y2
    scores: FloatArray  # [N] 0 to 1
    labels: IntArray  # [N] index into the model's class names
    names: npt.NDArray[np.str_]  # [N] the class names themselves
    spec: DetectorSpec = field(repr=False)  # of the model that found them

    @classmethod
    def of(cls, found: Detections, spec: DetectorSpec) -> "Found":
        """The detections of a model, with its names."""
        names = np.array([spec.class_names[int(label)] for label in found.labels_N], dtype=np.str_)
        return cls(found.boxes_N4_source, found.scores_N, found.labels_N, names, spec)

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        """`Found(2 objects: dog 0.86 [132, 207, 325, 543]; ...)`."""
        objects = f"{len(self)} object{'' if len(self) == 1 else 's'}"
        rest = f"; and {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        return f"Found({objects}: {in_words(self, SHOWN)}{rest})" if len(self) else "Found(nothing)"

    def to_json(self, file_name: str = "", image_id: int = 1) -> list[dict[str, Any]]:
        """COCO results plus names: `bbox` is x, y, width, height in source pixels."""
        detections = Detections(self.boxes, self.scores, self.labels)
        return detections.to_json(file_name, image_id, self.spec.class_names, self.spec.category_ids)

    def to_supervision(self) -> "supervision.Detections":
        """For supervision's annotators, zones and trackers."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes, confidence=self.scores, class_id=self.labels, data={"class_name": self.names}
        )


def in_words(found: Found, most: int | None = None) -> str:
    """`dog 0.86 [132, 207, 325, 543]; ...`: best first, boxes as corners in source pixels."""
    parts = [
        f"{name} {score:.2f} [{', '.join(str(round(float(side))) for side in box)}]"
        for name, score, box in list(zip(found.names, found.scores, found.boxes, strict=True))[:most]
    ]
    return "; ".join(parts) or "nothing"
