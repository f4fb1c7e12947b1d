"""An exported network in OpenVINO."""

import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from yolox_core.config import ONNX_SPEC_KEY
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


def open_openvino(path: Path, threads: int) -> Runtime:
    is_onnx = path.suffix.lower() == ".onnx"
    if is_onnx:  # first: OpenVINO does not convert such a file, and its reason names none
        require_finite(floats(path), path)
    model = read_openvino(path)
    if not is_onnx:
        require_finite(_constants(model), path)
    place = ["framework", ONNX_SPEC_KEY]
    entry = model.get_rt_info(place).astype(str) if model.has_rt_info(place) else None

    def decoder(hint: str, model: Any = model) -> Decoder:
        # float32 as trained: by itself OpenVINO takes bfloat16 where the processor has it, even where that is slower
        options: dict[str, Any] = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
        if limit := threads or quota_cores():
            options["INFERENCE_NUM_THREADS"] = limit
        compiled = openvino_core().compile_model(model, "CPU", options)
        of_thread = threading.local()

        def run(images_BCHW: FloatArray) -> FloatArray:
            if not hasattr(of_thread, "request"):
                of_thread.request = compiled.create_infer_request()
            results = of_thread.request.infer([images_BCHW])
            predictions: FloatArray = results[0].copy()  # its memory is the request's, for the next image
            return predictions

        return run

    spec = exported_spec(entry, path)
    require_predictions([name for output in model.outputs for name in output.get_names()], path)
    (predictions,) = (output for output in model.outputs if PREDICTIONS in output.get_names())
    require_shapes([_shape(given) for given in model.inputs], _shape(predictions), spec, path)
    one_image = model.clone()
    one_image.reshape([1, 3, *spec.input_size])  # an unknown batch costs it a third
    together = once_needed(lambda: decoder("LATENCY"))
    return Runtime("openvino", spec, together, lambda: decoder("THROUGHPUT", one_image))


def read_openvino(path: Path) -> Any:
    """An openvino.Model from ONNX or OpenVINO's own form; InputError where the file is neither."""
    import_openvino(path)
    if path.suffix.lower() == ".xml":  # looked at first: OpenVINO would try every format that it knows, aloud
        with path.open("rb") as file:
            if b"<net" not in file.read(4096):
                raise InputError(f"{path}: not an OpenVINO model: expected an XML file of a <net>.")
        if not path.with_suffix(".bin").is_file():
            raise InputError(f"{path}: its weights {path.with_suffix('.bin').name} are missing beside it.")
    try:
        return openvino_core().read_model(str(path))
    except RuntimeError as refused:
        reason = str(refused).strip().splitlines()[-1].strip()
        raise InputError(f"{path}: not a model that OpenVINO can read: {reason[:160].rstrip(' .')}.") from refused


def import_openvino(path: Path) -> Any:
    """The module, which reports nothing to anybody; InputError, for the model at `path`, where it is missing."""
    # it reports its use over the network unless this package, which does so, cannot be imported
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with importing("openvino", path):
        import openvino

    return openvino


@cache
def openvino_core() -> Any:
    """OpenVINO's devices, one for the whole process.

    Its CPU device gives the thread that first uses it a stack for signals and frees that with itself. Were it collected
    in another thread, the next signal (a child process that ends, say) would end this process.
    """
    import openvino

    # the first array takes a lock that two threads at once never leave (pybind11's NumPy API): take it in one
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino.Core()


def _constants(model: Any) -> Iterator[tuple[str, npt.NDArray[np.floating]]]:
    """Name and values of each constant of floating-point numbers."""
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in ("f16", "f32", "f64"):
            yield node.get_friendly_name(), node.data


def _shape(value: Any) -> Shape:
    """Of an input or output, OpenVINO's `f32` under NumPy's name."""
    kind = {"f32": "float32"}.get(value.get_element_type().get_type_name(), value.get_element_type().get_type_name())
    sides = value.get_partial_shape()
    known = list(sides) if sides.rank.is_static else []
    return kind, [side.get_length() if side.is_static else None for side in known]
