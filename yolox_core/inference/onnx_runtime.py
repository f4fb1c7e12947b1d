"""An exported network in ONNX Runtime."""

from pathlib import Path
from typing import Any

from yolox_core.config import ONNX_SPEC_KEY, DetectorSpec
from yolox_core.cpus import quota_cores
from yolox_core.errors import InputError
from yolox_core.inference.onnx_weights import floats
from yolox_core.inference.runtime import (
    PREDICTIONS,
    Decoder,
    Runtime,
    Shape,
    exported_spec,
    importing,
    once_needed,
    require_finite,
    require_predictions,
    require_shapes,
)
from yolox_core.structures import FloatArray


def open_onnx(path: Path, threads: int) -> Runtime:
    def decoder(session: Any) -> Decoder:
        name = session.get_inputs()[0].name

        def run(images_BCHW: FloatArray) -> FloatArray:
            predictions: FloatArray = session.run(None, {name: images_BCHW})[0]
            return predictions

        return run

    require_finite(floats(path), path)
    single = onnx_session(path, 1)  # runs images from many threads, each on its own
    spec = onnx_spec(single, path)
    require_predictions([output.name for output in single.get_outputs()], path)
    predictions = next(output for output in single.get_outputs() if output.name == PREDICTIONS)
    require_shapes([_shape(given) for given in single.get_inputs()], _shape(predictions), spec, path)
    together = once_needed(lambda: decoder(onnx_session(path, threads)))
    return Runtime("onnx", spec, together, lambda: decoder(single))


def onnx_session(path: Path, threads: int) -> Any:
    """An ONNX file in ONNX Runtime on so many cores, 0 for all; InputError where it cannot be run."""
    with importing("onnx", path):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or quota_cores() or 0  # left alone it reads the affinity, not quotas
    options.log_severity_level = 3  # errors: it would warn of the thresholds in nms_graph.py that one may set
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as refused:  # onnxruntime raises kinds of its own for each way a file can be broken
        raise InputError(f"{path}: not an ONNX model that can be run ({str(refused)[:120]}).") from refused


def onnx_spec(session: Any, path: Path) -> DetectorSpec:
    """What the file of a session says of itself; InputError where it is none of ours."""
    return exported_spec(session.get_modelmeta().custom_metadata_map.get(ONNX_SPEC_KEY), path)


def _shape(value: Any) -> Shape:
    """Of an input or output, ONNX Runtime's `tensor(float)` under NumPy's name."""
    kind = {"tensor(float)": "float32"}.get(value.type, value.type)
    return kind, [side if isinstance(side, int) else None for side in value.shape or ()]
