"""Whether nearly all boxes of a set speak of another reading of their numbers: corners for sizes, shares for pixels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.data.checks.alike_findings import EVERYTHING, FEWEST
from pipeline.data.parsing.findings import Finding
from yolox_core.data.records import ImageRecord
from yolox_core.structures import Objects

NEARLY_ALL = 0.95  # of the boxes fit the other reading
BEYOND = 0.25  # of the boxes reach out of their images, as read
SLACK = 1.01  # of the image's size, and a pixel: labels are rounded
SMALLEST_SIDE = 16  # px of an image in which a box of one pixel is nobody's object
Doubles = npt.NDArray[np.float64]


def check_reading(images: Sequence[ImageRecord]) -> list[Finding]:
    """One finding where the boxes, as they were read, fit their images badly, and another reading fits them."""
    boxes_N4 = Objects.joined(record.objects for record in images).boxes_G4.astype(np.float64)
    if len(boxes_N4) < FEWEST or not np.isfinite(boxes_N4).all():
        return []
    size_N2 = np.repeat(
        np.array([(record.width, record.height) for record in images], np.float64).reshape(-1, 2),
        [len(record.objects) for record in images],
        axis=0,
    )
    beyond = int((boxes_N4[:, 2:] > SLACK * size_N2 + 1).any(axis=1).sum())
    if beyond >= BEYOND * len(boxes_N4) and _nearly_all(_fit_as_corners(boxes_N4, size_N2)):
        what = f"{beyond} of {len(boxes_N4)} boxes reach out of their images as x, y, width, height"
        return [Finding("boxes-may-be-corners", EVERYTHING, f"{what}, and fit as x1, y1, x2, y2", "read as before")]
    if _nearly_all(_fit_as_shares(boxes_N4, size_N2)):
        what = f"expected boxes in pixels, got numbers from 0 to 1 for {len(boxes_N4)} boxes"
        return [Finding("boxes-may-be-shares", EVERYTHING, what, "read as before")]
    return []


def _fit_as_corners(boxes_N4: Doubles, size_N2: Doubles) -> npt.NDArray[np.bool_]:
    """Whether what was read as a width and height is the second corner of a box in its image."""
    corners_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    return np.asarray(((corners_N2 > boxes_N4[:, :2]) & (corners_N2 <= SLACK * size_N2 + 1)).all(axis=1))


def _fit_as_shares(boxes_N4: Doubles, size_N2: Doubles) -> npt.NDArray[np.bool_]:
    """Whether the numbers that were read lie in 0..1, be they two corners, or one and a size."""
    sides_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    within_N = (boxes_N4[:, :2] >= 0).all(axis=1) & ((sides_N2 > 0) & (sides_N2 <= 1)).all(axis=1)
    return np.asarray(within_N & (boxes_N4[:, :2] <= 1).all(axis=1) & (size_N2 >= SMALLEST_SIDE).all(axis=1))


def _nearly_all(fit_N: npt.NDArray[np.bool_]) -> bool:
    return bool(fit_N.mean() >= NEARLY_ALL)
