"""Boxes and assignments drawn on images, by OpenCV: supervision's annotators take two seconds to import."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from yolox_core.config import STRIDES
from yolox_core.structures import FloatArray, ImageArray

if TYPE_CHECKING:
    from yolox_core.data.batch import Assignment
    from yolox_core.ops.anchors import AnchorPoints

# Okabe and Ito's colours, told apart by most colour-blind people (jfly.uni-koeln.de/color)
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a800", "#6a3d9a")
MOST_CAPTIONS = 30  # more of them hide the picture
THICKNESS_PX, PADDING_PX = 2, 3
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
POINT_RADIUS_PX = {8: 2, 16: 4, 32: 6}


def draw_boxes(
    image: ImageArray, boxes: FloatArray, colors: Sequence[int], captions: Sequence[str] | None
) -> ImageArray:
    """A copy of the BGR image with boxes [N, 4] (xyxy px), coloured by index, and their captions (None: without)."""
    drawn = image.copy()
    corners = np.asarray(boxes, np.float32).reshape(-1, 4).round().astype(int).tolist()
    shades = [_bgr(PALETTE[int(color) % len(PALETTE)]) for color in colors]
    for (x1, y1, x2, y2), shade in zip(corners, shades, strict=True):
        cv2.rectangle(drawn, (x1, y1), (x2, y2), shade, THICKNESS_PX)
    if captions is not None and len(corners) <= MOST_CAPTIONS:
        for (x1, y1, _, _), shade, caption in zip(corners, shades, captions, strict=True):
            _write(drawn, caption, x1, y1, shade)
    return drawn


def _write(image: ImageArray, caption: str, x: int, y: int, shade: tuple[int, int, int]) -> None:
    """A caption on its own ground above the corner (x, y); below it where there is no room above."""
    (width, height), below_line = cv2.getTextSize(caption, FONT, FONT_SCALE, 1)
    tall = height + below_line + 2 * PADDING_PX
    top = y - tall if y >= tall else y
    left = max(0, min(x, image.shape[1] - width - 2 * PADDING_PX))
    cv2.rectangle(image, (left, top), (left + width + 2 * PADDING_PX, top + tall), shade, cv2.FILLED)
    at = (left + PADDING_PX, top + PADDING_PX + height)
    cv2.putText(image, caption, at, FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def draw_assignment(
    image: ImageArray, boxes_G4: FloatArray, captions: Sequence[str], assignment: "Assignment", points: "AnchorPoints"
) -> ImageArray:
    """A copy of the letterboxed image with every object and the anchor points that were given to it.

    One colour an object; a point's disc is the larger, the coarser its level. `assignment` is of a batch of one.
    """
    drawn = draw_boxes(image, boxes_G4, range(len(boxes_G4)), captions)
    for point in assignment.foreground_BA[0].nonzero().flatten().tolist():
        x, y = points.center_A2[point].tolist()
        color = _bgr(PALETTE[int(assignment.matched_gt_BA[0, point]) % len(PALETTE)])
        radius = POINT_RADIUS_PX[int(points.stride_A[point])]
        center = (round(x), round(y))
        cv2.circle(drawn, center, radius, color, thickness=-1, lineType=cv2.LINE_AA)
        cv2.circle(drawn, center, radius, (255, 255, 255), thickness=1, lineType=cv2.LINE_AA)
    return drawn


def points_by_level(assignment: "Assignment", points: "AnchorPoints", objects: int) -> list[dict[int, int]]:
    """For each object of a batch of one: stride -> number of anchor points that it got."""
    matched_A = assignment.matched_gt_BA[0]
    return [
        {stride: int(((matched_A == index) & (points.stride_A == stride)).sum()) for stride in STRIDES}
        for index in range(objects)
    ]


def _bgr(hexadecimal: str) -> tuple[int, int, int]:
    red, green, blue = (int(hexadecimal[at : at + 2], 16) for at in (1, 3, 5))
    return blue, green, red
