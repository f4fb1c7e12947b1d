"""What runs a network: PyTorch, ONNX Runtime or OpenVINO, each as a function from images to decoded predictions."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolox_core.config import ONNX_FILE, ONNX_SPEC_KEY, RUNTIMES, DetectorSpec, RuntimeName
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import decode
from yolox_core.model.fuse import fused
from yolox_core.model.weights import SPEC_FILE, read_weights

PREDICTIONS = "predictions"  # the output, before any selection
# which runtimes can run a file, the preferred one first
BY_SUFFIX: dict[str, tuple[RuntimeName, ...]] = {".onnx": ("onnx", "openvino"), ".xml": ("openvino",)}
CUDA_BATCH = 16

# uint8-valued float32 [B, 3, H, W] -> decoded predictions [B, A, 4+1+C]
Decoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Runtime:
    """A network ready to run."""

    spec: DetectorSpec
    decode: Decoder  # one call at a time, with all cores
    single_core: Callable[[], Decoder] | None = None  # many calls at a time, a core each; None: not worth it
    batch: int = 1  # images a call of `decode` takes best


def open_runtime(path: Path, runtime: str | None, device: torch.device | str, threads: int = 0) -> Runtime:
    """The network at `path` in the runtime asked for, or in the one its form asks for; InputError where that fails.

    A released folder holds weights for PyTorch, which is the default, and the same network as ONNX. `threads` is how
    many cores `decode` takes in ONNX Runtime and OpenVINO, 0 for all; PyTorch has torch.set_num_threads.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise InputError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {runtime!r}.")
    able: tuple[RuntimeName, ...] = RUNTIMES if path.is_dir() else BY_SUFFIX.get(path.suffix.lower(), ("torch",))
    runtime = runtime or able[0]
    if runtime not in able:
        raise InputError(
            f"{path}: runtime: expected {' or '.join(able)} for such a file, got {runtime}. "
            "A released folder has all: `dvc repro` makes one."
        )
    if runtime == "torch":
        return _torch(path, device)
    if path.is_dir():
        path = path / ONNX_FILE
        if not path.is_file():
            raise InputError(f"{path}: no such file: this model was not exported. Run the export stage, or use torch.")
    if not path.is_file():
        raise InputError(f"{path}: no such model.")
    return _onnx(path, threads) if runtime == "onnx" else _openvino(path, threads)


def _torch(path: Path, device: torch.device | str) -> Runtime:
    weights = read_weights(path)
    model = fused(weights.build()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(images_BCHW: Tensor) -> Tensor:
        size = (images_BCHW.shape[2], images_BCHW.shape[3])
        images_BCHW = images_BCHW.to(device).contiguous(memory_format=torch.channels_last)
        return decode(model(images_BCHW), size).cpu()

    # on a CPU one by one: a batch would round differently, and what was measured was measured so
    return Runtime(weights.spec, run, batch=CUDA_BATCH if torch.device(device).type == "cuda" else 1)


def _onnx(path: Path, threads: int) -> Runtime:
    def decoder(threads: int) -> Decoder:
        opened = onnx_session(path, threads)
        name = opened.get_inputs()[0].name
        return lambda images_BCHW: torch.from_numpy(opened.run(None, {name: images_BCHW.numpy()})[0])

    opened = onnx_session(path, 1)
    spec = onnx_spec(opened, path)
    _require_predictions([output.name for output in opened.get_outputs()], path)
    return Runtime(spec, _once_needed(lambda: decoder(threads)), lambda: decoder(1))


def onnx_session(path: Path, threads: int) -> Any:
    """An ONNX file in ONNX Runtime on so many cores, 0 for all; InputError where it cannot be run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: it would warn of the thresholds in nms_graph.py that one may set
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as refused:  # onnxruntime raises kinds of its own for each way a file can be broken
        raise InputError(f"{path}: not an ONNX model that can be run ({str(refused)[:120]}).") from refused


def onnx_spec(session: Any, path: Path) -> DetectorSpec:
    """What the file of a session says of itself; InputError where it is none of ours."""
    return _spec(session.get_modelmeta().custom_metadata_map.get(ONNX_SPEC_KEY), path)


def _require_predictions(outputs: list[str], path: Path) -> None:
    """InputError for a file of ours whose graph ends in detections."""
    if PREDICTIONS not in outputs:
        raise InputError(
            f"{path}: expected an output '{PREDICTIONS}', got {', '.join(outputs)}. "
            f"This file selects by itself, for other programs: take {ONNX_FILE}."
        )


def _openvino(path: Path, threads: int) -> Runtime:
    model = read_openvino(path)
    place = ["framework", ONNX_SPEC_KEY]
    entry = model.get_rt_info(place).astype(str) if model.has_rt_info(place) else None

    def decoder(hint: str, model: Any = model) -> Decoder:
        # float32 as trained: by itself OpenVINO takes bfloat16 where the processor has it, even where that is slower
        options: dict[str, Any] = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        compiled = openvino_core().compile_model(model, "CPU", options)
        of_thread = threading.local()

        def run(images_BCHW: Tensor) -> Tensor:
            if not hasattr(of_thread, "request"):
                of_thread.request = compiled.create_infer_request()
            results = of_thread.request.infer([images_BCHW.numpy()])
            return torch.from_numpy(results[0].copy())  # its memory is the request's, for the next image

        return run

    spec = _spec(entry, path)
    _require_predictions([name for output in model.outputs for name in output.get_names()], path)
    one_image = model.clone()
    one_image.reshape([1, 3, *spec.input_size])  # an unknown batch costs it a third
    together = _once_needed(lambda: decoder("LATENCY"))
    return Runtime(spec, together, lambda: decoder("THROUGHPUT", one_image))


def _once_needed(make: Callable[[], Decoder]) -> Decoder:
    """What `make` gives, made at the first call: streams have no use for it."""
    made = cache(make)
    return lambda images_BCHW: made()(images_BCHW)


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
        raise InputError(f"{path}: not a model that OpenVINO can read: {reason[:160]}") from refused


def import_openvino(path: Path) -> Any:
    """The module, which reports nothing to anybody; InputError, for the model at `path`, where it is missing."""
    # it reports its use over the network unless this package, which does so, cannot be imported
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as missing:
        raise InputError(f"{path}: OpenVINO is not installed. Install it: pip install openvino.") from missing
    return openvino


@cache
def openvino_core() -> Any:
    """OpenVINO's devices, one for the whole process.

    Its CPU device gives the thread that first uses it a stack for signals and frees that with itself. Were it collected
    in another thread, the next signal (a child process that ends, say) would end this process.
    """
    import openvino

    return openvino.Core()


def _spec(entry: str | None, path: Path) -> DetectorSpec:
    """The description that travels in the file."""
    if entry is None:
        raise InputError(f"{path}: a model without the entry '{ONNX_SPEC_KEY}'; export it with `yolox export`.")
    try:
        plain = json.loads(entry)
    except (ValueError, RecursionError) as broken:
        raise InputError(f"{path}: {ONNX_SPEC_KEY}: not JSON ({broken}). Export the model again.") from broken
    return DetectorSpec.from_dict(plain, f"{path}: {SPEC_FILE}")
