"""Box arithmetic. Boxes are xyxy, absolute pixels, unless a name says `_cxcywh`.

Formulas as in Megvii-BaseDetection/YOLOX yolox/utils/boxes.py and yolox/models/losses.py at 6ddff48.
"""

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """[..., 4] centre and size -> corners."""
    center, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat((center - size / 2, center + size / 2), dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """[..., 4] corners -> centre and size."""
    return torch.cat((center(boxes), boxes[..., 2:] - boxes[..., :2]), dim=-1)


def center(boxes: Tensor) -> Tensor:
    """[..., 4] corners -> [..., 2] x and y."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...] px^2."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of broadcastable boxes, [..., 4] and [..., 4] -> [...] px^2; 0 where they are apart."""
    return _overlap(first, second, 0) * _overlap(first, second, 1)


def iou(first: Tensor, second: Tensor, eps: float = 0.0) -> Tensor:
    """Intersection over union of broadcastable boxes, [..., 4] and [..., 4] -> [...], 0 to 1.

    `eps` is added to the union; with 0 two boxes without area give NaN, as in the reference's pairwise IoU.
    """
    overlap = intersection(first, second)
    return overlap / (area(first) + area(second) - overlap + eps)


def _overlap(first: Tensor, second: Tensor, axis: int) -> Tensor:
    """Common length along x (0) or y (1), px."""
    low = torch.maximum(first[..., axis], second[..., axis])
    return (torch.minimum(first[..., axis + 2], second[..., axis + 2]) - low).clamp(min=0)
