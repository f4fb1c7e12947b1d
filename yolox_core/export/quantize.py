"""An exported detector in 8-bit integers, calibrated on images (ONNX Runtime's static quantization, Q/DQ pairs).

What stays in float32, because the map needs it (docs/export.md has the figures): the stem and dark2, whose few
channels differ most in range, the last layer of each head branch, and decoding.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_core.atomic_files import write_bytes
from yolox_core.data.geometry import letterbox, network_input
from yolox_core.inference.runtime import importing
from yolox_core.structures import FloatArray, ImageArray

if TYPE_CHECKING:
    from onnx import ModelProto

FIRST_INT8 = ".dark3."  # of the backbone; all before it stays as it is
LAST_FLOAT = ("head.cls_preds.", "head.reg_preds.", "head.obj_preds.")
# ONNX Runtime loses more to a change of form between two layers than integers gain: everything in between goes along
BETWEEN = ["Conv", "Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize"]


def quantize(onnx_file: Path, target: Path, images: Iterable[ImageArray], *, for_openvino: bool = False) -> None:
    """Write an ONNX file of `export_onnx` in integers, ranges as found in `images` (BGR uint8); the same every time.

    It runs in either runtime, and is made for one: OpenVINO computes a convolution's activation with it, in float,
    so there only what a convolution reads is made integer.
    """
    import tempfile

    import onnx

    with importing("onnx", onnx_file):
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    proto = onnx.load(onnx_file)
    size = tuple(side.dim_value for side in proto.graph.input[0].type.tensor_type.shape.dim[2:])
    exact = sorted(_before_integers(proto) | _after_integers(proto))
    add_pre_process_metadata(proto)  # it would advise what torch's exporter has done already
    with tempfile.TemporaryDirectory() as folder:
        quantize_static(
            proto,
            Path(folder) / "int8.onnx",
            _reader(images, (size[0], size[1])),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"] if for_openvino else BETWEEN,
            nodes_to_exclude=exact,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"]} if for_openvino else {},
        )
        write_bytes(target, (Path(folder) / "int8.onnx").read_bytes())


def _before_integers(proto: "ModelProto") -> set[str]:
    """Names of the nodes from the image to the first layer of integers."""
    first = next(node for node in proto.graph.node if node.op_type == "Conv" and FIRST_INT8 in node.input[1])
    return _upstream(proto, first.input[0], through_convolutions=True)


def _after_integers(proto: "ModelProto") -> set[str]:
    """Names of the nodes from the last layers to the predictions."""
    last = {
        node.name
        for node in proto.graph.node
        if node.op_type == "Conv" and any(part in node.input[1] for part in LAST_FLOAT)
    }
    return last | _upstream(proto, proto.graph.output[0].name, through_convolutions=False)


def _upstream(proto: "ModelProto", tensor: str, *, through_convolutions: bool) -> set[str]:
    """Names of the nodes that `tensor` is computed from, as far back as the image or the nearest convolutions."""
    makers = {output: node for node in proto.graph.node for output in node.output}
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in found or (node.op_type == "Conv" and not through_convolutions):
            continue
        found.add(node.name)
        waiting.extend(node.input)
    return found


def _reader(images: Iterable[ImageArray], size: tuple[int, int]) -> Any:
    """The images as the network gets them, in the form that ONNX Runtime asks for."""
    from onnxruntime.quantization import CalibrationDataReader

    def fed() -> Iterator[dict[str, FloatArray]]:
        for image in images:
            yield {"images": network_input([letterbox(image, size)[0]])}

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        feeds = fed()

        def get_next(self) -> dict[str, FloatArray] | None:
            return next(self.feeds, None)

    return Reader()
