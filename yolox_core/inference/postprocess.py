"""Raw predictions -> detections: decode, threshold, class-aware NMS, back to the source image.

As yolox/utils/boxes.py of Megvii-BaseDetection/YOLOX at 6ddff48: the class is the most probable one, the score
objectness x class probability, and NMS works within a class.
"""

import torch
from torch import Tensor

from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.ops.anchors import anchor_points, decode_boxes
from yolox_core.structures import Detections


def decode(raw_BA: Tensor, size: tuple[int, int]) -> Tensor:
    """Raw predictions -> [B, A, 4+1+C]: boxes xyxy px of an input of `size` (height, width), then probabilities."""
    boxes_BA4 = decode_boxes(raw_BA, anchor_points(size, raw_BA.device))
    return torch.cat((boxes_BA4, raw_BA[..., 4:].float().sigmoid()), dim=-1)


def select(decoded_A: Tensor, confidence: float, nms_iou: float) -> Tensor:
    """One image's decoded predictions [A, 4+1+C] -> [N, 7]: x1, y1, x2, y2, objectness, class probability, class.

    Kept are scores of at least `confidence`; of two boxes of one class that overlap by more than `nms_iou` the
    better one. Best first. InputError where a threshold is outside 0 to 1.
    """
    # imported here: it brings torch's compiler along, 5 s on a slow core, and most processes never come here
    from torchvision.ops import batched_nms

    check_threshold("confidence", confidence)
    check_threshold("nms_iou", nms_iou)
    class_probability, label = decoded_A[:, 5:].max(dim=1)
    score = decoded_A[:, 4] * class_probability
    kept = score >= confidence
    rows = torch.cat((decoded_A[:, :5], class_probability[:, None], label[:, None].float()), dim=1)[kept]
    order = batched_nms(rows[:, :4], score[kept], label[kept], nms_iou)
    return rows[order]


def to_source(rows_N7: Tensor, scale: float, source_size: tuple[int, int], spec: DetectorSpec) -> Detections:
    """Selected rows in network pixels -> detections in pixels of the source image (height, width), clipped to it."""
    boxes = rows_N7[:, :4] / scale
    height, width = source_size
    limit = boxes.new_tensor([width, height, width, height])
    return Detections(
        boxes=torch.minimum(boxes.clamp(min=0), limit).cpu().numpy(),
        scores=(rows_N7[:, 4] * rows_N7[:, 5]).cpu().numpy(),
        labels=rows_N7[:, 6].long().cpu().numpy(),
        spec=spec,
    )


def check_threshold(name: str, value: float) -> None:
    """InputError unless 0 <= value <= 1."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name}: expected a threshold from 0 to 1, got {value!r}.")
