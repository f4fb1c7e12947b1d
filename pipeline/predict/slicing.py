"""Small objects in large images: the image in overlapping tiles, each at the network's full size, and the whole of it.

supervision's InferenceSlicer cuts the same tiles, but merges without knowing their edges: by IoU it leaves the halves
of objects that an edge has cut, by overlap with the smaller box it drops the one of two objects behind the other.
Here a part goes because it ends at an edge.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from yolox_core.data.geometry import area
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import check_threshold, nms
from yolox_core.inference.predictor import Answer, Predictor, Source
from yolox_core.structures import BoolArray, Detections, FloatArray, ImageArray, IntArray

EDGE_PX = 8.0  # a box that ends so near to a tile's edge is cut by it: the network's finest step, in its own px
PART = 0.5  # a cut box of which a larger one covers this much is a part of the same object
Tile = tuple[int, int, int, int]  # x1, y1, x2, y2 px


class SlicingPredictor:
    """As `yolox_core.Predictor`, for large images.

    size: a tile's side in px; None: as the network's input, so that it sees the pixels as they are.
    overlap: share of a tile that the next one sees, too; objects up to that size are whole in some tile.
    """

    def __init__(self, predictor: Predictor, size: int | None = None, overlap: float = 0.2) -> None:
        if size is not None and size < 32:
            raise InputError(f"slice size: expected at least 32 px, got {size}.")
        if not 0.0 <= overlap <= 0.9:
            raise InputError(f"overlap: expected a share from 0 to 0.9, got {overlap}.")
        self.spec, self.losses = predictor.spec, predictor.losses
        self._predictor = predictor
        self._size = (size, size) if size else predictor.spec.input_size
        self._overlap = overlap
        # in the network's own pixels a larger tile is shrunk
        self._edge_px = EDGE_PX * max(
            1.0, *(side / own for side, own in zip(self._size, self.spec.input_size, strict=True))
        )

    def stream(
        self, images: Iterable[Source], confidence: float | None = None, nms_iou: float | None = None
    ) -> Iterator[Answer]:
        """As `Predictor.stream`; one image is in memory at a time, its tiles run as a stream."""
        score = self.spec.confidence if confidence is None else confidence
        iou = self.spec.nms_iou if nms_iou is None else nms_iou
        check_threshold("confidence", score)
        check_threshold("nms_iou", iou)
        return (self._answer(source, score, iou) for source in images)

    def _answer(self, source: Source, confidence: float, nms_iou: float) -> Answer:
        try:
            image = self._predictor.read(source)
            return image, self._detections(image, confidence, nms_iou)
        except InputError as refused:
            return refused

    def _detections(self, image: ImageArray, confidence: float, nms_iou: float) -> Detections:
        size = (image.shape[0], image.shape[1])
        views = tiles(size, self._size, self._overlap)
        cut = (image[y1:y2, x1:x2] for x1, y1, x2, y2 in views)
        seen: list[tuple[Tile, Detections]] = []
        for view, answer in zip(views, self._predictor.stream(cut, confidence, nms_iou), strict=True):
            if isinstance(answer, InputError):
                raise answer
            seen.append((view, answer[1]))
        return merge(seen, size, nms_iou, self._edge_px)


def tiles(image: tuple[int, int], tile: tuple[int, int], overlap: float) -> list[Tile]:
    """Where to look in an image (height, width): tiles in rows, evenly laid, then the whole, for what is larger."""
    rows, columns = (_starts(length, side, overlap) for length, side in zip(image, tile, strict=True))
    height, width = image
    found = [(x, y, min(x + tile[1], width), min(y + tile[0], height)) for y in rows for x in columns]
    return found if len(found) == 1 else [*found, (0, 0, width, height)]


def merge(
    seen: Sequence[tuple[Tile, Detections]], image: tuple[int, int], nms_iou: float, edge_px: float = EDGE_PX
) -> Detections:
    """Detections of all tiles in pixels of the image: parts of cut objects left out, then NMS within each class."""
    boxes_N4 = np.concatenate([found.boxes + np.array([x, y, x, y], np.float32) for (x, y, _, _), found in seen])
    scores_N = np.concatenate([found.scores for _, found in seen])
    labels_N = np.concatenate([found.labels for _, found in seen])
    cut_N = np.concatenate([_is_cut(found.boxes, tile, image, edge_px) for tile, found in seen])
    whole = np.flatnonzero(~_is_part(boxes_N4, labels_N, cut_N))
    kept = whole[nms(boxes_N4[whole], scores_N[whole], labels_N[whole], nms_iou)]
    return Detections(boxes_N4[kept], scores_N[kept], labels_N[kept], seen[0][1].spec)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """First pixels of the fewest tiles that cover a length and overlap by no less than asked for."""
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    count = 1 + math.ceil((length - side) / step)
    return [round(place * (length - side) / (count - 1)) for place in range(count)]


def _is_cut(boxes_N4: FloatArray, tile: Tile, image: tuple[int, int], edge_px: float) -> BoolArray:
    """Whether a box, in pixels of its tile, ends at an edge of the tile that is not the image's own."""
    x1, y1, x2, y2 = tile
    height, width = image
    low = boxes_N4[:, :2] <= edge_px
    high = boxes_N4[:, 2:] >= np.array([x2 - x1 - edge_px, y2 - y1 - edge_px])
    return np.asarray((low & [x1 > 0, y1 > 0]).any(axis=1) | (high & [x2 < width, y2 < height]).any(axis=1))


def _is_part(boxes_N4: FloatArray, labels_N: IntArray, cut_N: BoolArray) -> BoolArray:
    """Whether a box is cut and a larger one of its class covers at least PART of it. In rows: N may be thousands."""
    size_N = area(boxes_N4)
    part_N = np.zeros(len(boxes_N4), dtype=np.bool_)
    for index in np.flatnonzero(cut_N):
        larger_N = (size_N > size_N[index]) & (labels_N == labels_N[index])
        box = boxes_N4[index]
        low_N2, high_N2 = np.maximum(box[:2], boxes_N4[:, :2]), np.minimum(box[2:], boxes_N4[:, 2:])
        common_N = area(np.column_stack((low_N2, high_N2)))
        part_N[index] = (larger_N & (common_N >= PART * size_N[index])).any()
    return part_N
