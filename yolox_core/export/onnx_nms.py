"""An exported detector with selection inside its graph, for runtimes that bring no post-processing of their own.

It holds what `postprocess.select` does, in ONNX's own operators: threshold, class-aware NMS, best first. Legend:
B images, A anchor points, C classes, K detections of the image that has most, at least 1: OpenVINO ranks no fewer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yolox_core.atomic_files import write_bytes
from yolox_core.config import DetectorSpec
from yolox_core.data.geometry import letterbox, network_input
from yolox_core.inference.onnx_runtime import onnx_session, onnx_spec
from yolox_core.inference.postprocess import to_source
from yolox_core.structures import Detections, FloatArray, ImageArray, IntArray

if TYPE_CHECKING:
    from onnx import ModelProto

# A point belongs to its most probable class alone. What is not kept has the score -1, below the threshold of -0.5 that
# the operator compares with by "more than", where `select` says "at least". Rows beyond an image's count are padding.
SELECTION = """
selection (float[batch, points, values] predictions, float confidence, float nms_iou)
  => (float[batch, found, 4] boxes, float[batch, found] scores, int64[batch, found] labels, int64[batch] counts)
<
  int64[1] at_0 = {0}, int64[1] at_1 = {1}, int64[1] at_2 = {2}, int64[1] at_4 = {4}, int64[1] at_5 = {5},
  int64[1] at_end = {9223372036854775807}, int64[2] image_and_point = {0, 2},
  int64 first = {0}, int64 step = {1}, int64 no_label = {-1}, float nothing = {0.0}, float dropped = {-1.0},
  float floor = {-0.5}
>
{
  boxes_BA4 = Slice (predictions, at_0, at_4, at_2)
  objectness_BA1 = Slice (predictions, at_4, at_5, at_2)
  classes_BAC = Slice (predictions, at_5, at_end, at_2)
  probability_BA1 = ReduceMax <keepdims = 1> (classes_BAC, at_2)
  label_BA1 = ArgMax <axis = 2, keepdims = 1> (classes_BAC)
  score_BA1 = Mul (objectness_BA1, probability_BA1)
  enough_BA1 = GreaterOrEqual (score_BA1, confidence)
  candidate_BA1 = Where (enough_BA1, score_BA1, dropped)
  class_count_1 = Shape <start = 2, end = 3> (classes_BAC)
  class_count = Squeeze (class_count_1, at_0)
  class_C = Range (first, class_count, step)
  own_BAC = Equal (label_BA1, class_C)
  candidate_BAC = Where (own_BAC, candidate_BA1, dropped)
  candidate_BCA = Transpose <perm = [0, 2, 1]> (candidate_BAC)
  points_1 = Shape <start = 1, end = 2> (predictions)
  picked_N3 = NonMaxSuppression (boxes_BA4, candidate_BCA, points_1, nms_iou, floor)

  picked_N2 = Gather <axis = 1> (picked_N3, image_and_point)
  picked_count = Shape <start = 0, end = 1> (picked_N3)
  ones_N = ConstantOfShape <value = float[1] {1.0}> (picked_count)
  score_BA = Squeeze (score_BA1, at_2)
  shape_BA = Shape (score_BA)
  zeros_BA = ConstantOfShape <value = float[1] {0.0}> (shape_BA)
  kept_BA = ScatterND (zeros_BA, picked_N2, ones_N)
  counted_B = ReduceSum <keepdims = 0> (kept_BA, at_1)
  counts = Cast <to = 7> (counted_B)
  largest_1 = ReduceMax <keepdims = 1> (counts, at_0)
  most_1 = Max (largest_1, at_1)

  is_kept_BA = Cast <to = 9> (kept_BA)
  ranked_BA = Where (is_kept_BA, score_BA, dropped)
  best_BK, index_BK = TopK <axis = 1> (ranked_BA, most_1)
  real_BK = GreaterOrEqual (best_BK, nothing)
  scores = Where (real_BK, best_BK, nothing)
  label_BA = Squeeze (label_BA1, at_2)
  label_BK = GatherElements <axis = 1> (label_BA, index_BK)
  labels = Where (real_BK, label_BK, no_label)
  index_BK1 = Unsqueeze (index_BK, at_2)
  box_BK4 = GatherND <batch_dims = 1> (boxes_BA4, index_BK1)
  real_BK1 = Unsqueeze (real_BK, at_2)
  boxes = Where (real_BK1, box_BK4, nothing)
}
"""
PREFIX = "nms/"  # of the names above within the graph
OUTPUTS = ("boxes", "scores", "labels", "counts")


def export_nms(onnx_file: Path, target: Path, spec: DetectorSpec) -> None:
    """Write an exported ONNX file with selection in its graph; the thresholds are inputs that have a default.

    Outputs: boxes [B, K, 4] (xyxy, px of the network input), scores [B, K], labels [B, K], counts [B]. Best first;
    beyond an image's count the label is -1.
    """
    import onnx

    proto = onnx.load(onnx_file)
    _select_inside(proto, {"confidence": spec.confidence, "nms_iou": spec.nms_iou})
    proto.doc_string = "YOLOX detector: BGR 0-255 letterboxed images -> boxes xyxy px, scores, labels, counts"
    onnx.checker.check_model(proto)
    write_bytes(target, proto.SerializeToString())


def _select_inside(proto: "ModelProto", defaults: dict[str, float]) -> None:
    from onnx import numpy_helper, parser

    selection = parser.parse_graph(SELECTION)
    outside = {"predictions", *defaults, *OUTPUTS}

    def named(name: str) -> str:
        return name if name in outside or not name else PREFIX + name

    for node in selection.node:
        node.name = PREFIX + node.output[0]
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]
    for constant in selection.initializer:
        constant.name = named(constant.name)
    graph = proto.graph
    graph.node.extend(selection.node)
    graph.initializer.extend(selection.initializer)
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in defaults.items()
    )
    graph.input.extend(entry for entry in selection.input if entry.name in defaults)
    del graph.output[:]
    graph.output.extend(selection.output)


class NmsModel:
    """Such a file in ONNX Runtime, with the part of `Predictor` that measuring needs."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._session = onnx_session(path, threads)
        self.spec = onnx_spec(self._session, path)

    def run(self, images_BCHW: FloatArray, **thresholds: float) -> list[tuple[FloatArray, FloatArray, IntArray]]:
        """Boxes [N, 4] in network px, scores [N] and labels [N] of each image, best first."""
        given = {name: np.array(value, np.float32) for name, value in thresholds.items()}
        boxes, scores, labels, counts = self._session.run(list(OUTPUTS), {"images": images_BCHW, **given})
        return [(boxes[row, :n], scores[row, :n], labels[row, :n]) for row, n in enumerate(counts.tolist())]

    def predict(self, images: Sequence[ImageArray], confidence: float, nms_iou: float) -> list[Detections]:
        """Detections of each BGR uint8 image [H, W, 3] in its own pixels, as `Predictor.predict` gives them."""
        found: list[Detections] = []
        for image in images:
            fitted, scale = letterbox(image, self.spec.input_size)
            ((boxes, scores, labels),) = self.run(network_input([fitted]), confidence=confidence, nms_iou=nms_iou)
            rows_N7 = np.column_stack((boxes, scores, np.ones_like(scores), labels.astype(np.float32)))
            found.append(to_source(rows_N7, scale, image.shape[:2], self.spec))
        return found
