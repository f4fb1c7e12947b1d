"""A released model as ONNX and as OpenVINO's IR. With NMS inside: nms_graph.py. In integers: quantize.py.

The graph takes float32 [B, 3, H, W] (BGR 0-255, letterboxed) of the released input size and any batch, and gives
decoded predictions [B, A, 4+1+C]: boxes xyxy px, then probabilities. model.json travels in its metadata.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from yolox_core.atomic_files import write_bytes
from yolox_core.config import ONNX_SPEC_KEY, STRIDES, DetectorSpec
from yolox_core.inference.openvino_runtime import import_openvino, read_openvino
from yolox_core.inference.runtime import PREDICTIONS
from yolox_core.model.fuse import fused
from yolox_core.model.weights import read_weights
from yolox_core.model.yolox import YOLOX
from yolox_core.ops.anchors import decode

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18


class DecodedYOLOX(nn.Module):
    """A YOLOX with decoding inside, at one input size."""

    def __init__(self, model: YOLOX, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, images: Tensor) -> Tensor:
        return decode(self.model(images), self.size)


def export_onnx(released: Path, target: Path) -> None:
    """Write the released folder's model as ONNX to `target`, atomically."""
    import onnx

    weights = read_weights(released)
    size = weights.spec.input_size
    model = DecodedYOLOX(fused(weights.build()), size).eval()
    # two images: a batch of one would be taken for a constant
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 3, *size),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["images"],
        output_names=[PREDICTIONS],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    _forget_the_code(proto)
    _describe(proto, weights.spec)
    onnx.checker.check_model(proto)
    write_bytes(target, proto.SerializeToString())


def _forget_the_code(proto: "ModelProto") -> None:
    """Remove what the exporter notes of each node's source: absolute paths, by which equal models differ in bytes."""
    for node in proto.graph.node:
        del node.metadata_props[:]


def _describe(proto: "ModelProto", spec: DetectorSpec) -> None:
    plain = {  # what other programs look for, in the form that Ultralytics' files made usual: Python literals
        ONNX_SPEC_KEY: json.dumps(spec.to_dict(), ensure_ascii=False),
        "task": "detect",
        "names": str(dict(enumerate(spec.class_names))),
        "imgsz": str(list(spec.input_size)),  # height, width
        "stride": str(max(STRIDES)),
    }
    for key, value in plain.items():
        proto.metadata_props.add(key=key, value=value)
    proto.doc_string = "YOLOX detector: BGR 0-255 letterboxed images -> boxes xyxy px, objectness, class probabilities"


def export_openvino(onnx: Path, target: Path) -> None:
    """Write an exported ONNX file as OpenVINO's IR, `target` (.xml) and its .bin; its description travels along."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        import_openvino(onnx).save_model(read_openvino(onnx), str(part), compress_to_fp16=False)
        os.replace(part.with_suffix(".bin"), target.with_suffix(".bin"))
        os.replace(part, target)
