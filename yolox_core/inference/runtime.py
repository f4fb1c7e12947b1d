"""A network ready to run, whatever runs it, and what is asked of an exported file before it does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yolox_core.config import EXPORTED_RUNTIMES, ONNX_FILE, ONNX_SPEC_KEY, RUNTIMES, DetectorSpec, RuntimeName
from yolox_core.errors import InputError
from yolox_core.model.description import parse_spec
from yolox_core.structures import FloatArray

PREDICTIONS = "predictions"  # an exported network's output, before any selection
# what a runtime is called, and the module and package that it needs
TITLES: dict[RuntimeName, str] = {"torch": "PyTorch", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
PACKAGES: dict[RuntimeName, str] = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}

# uint8-valued float32 [B, 3, H, W] -> decoded predictions [B, A, 4+1+C]
Decoder = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Runtime:
    """A network ready to run."""

    name: RuntimeName
    spec: DetectorSpec
    decode: Decoder  # one call at a time, with all cores
    single_core: Callable[[], Decoder] | None = None  # many calls at a time, a core each; None: not worth it
    batch: int = 1  # images a call of `decode` takes best


def is_installed(runtime: RuntimeName) -> bool:
    """Whether its package can be imported; it is not imported for that."""
    return find_spec(PACKAGES[runtime]) is not None


def installed_runtimes() -> list[RuntimeName]:
    """Those for exported networks that can be imported, the default first."""
    return list(filter(is_installed, EXPORTED_RUNTIMES))


def require(runtime: RuntimeName, path: Path) -> None:
    """InputError, for the model at `path`, where the runtime is not installed."""
    if not is_installed(runtime):
        raise InputError(
            f"{path}: {TITLES[runtime]} is not installed. Install it: pip install {PACKAGES[runtime]}; "
            f"or name another --runtime of {', '.join(RUNTIMES)}."
        )


def exported_spec(entry: str | None, path: Path) -> DetectorSpec:
    """The description that travels in the file."""
    if entry is None:
        raise InputError(f"{path}: a model without the entry '{ONNX_SPEC_KEY}'; export it with `yolox export`.")
    return parse_spec(entry, f"{path}: {ONNX_SPEC_KEY}", "Export the model again.")


def require_predictions(outputs: list[str], path: Path) -> None:
    """InputError for a file of ours whose graph ends in detections."""
    if PREDICTIONS not in outputs:
        raise InputError(
            f"{path}: expected an output '{PREDICTIONS}', got {', '.join(outputs)}. "
            f"This file selects by itself, for other programs: take {ONNX_FILE}."
        )


def require_size(sides: list[Any], spec: DetectorSpec, path: Path) -> None:
    """InputError where a graph is of another input size than its description."""
    fixed = [side for side in sides if isinstance(side, int)]
    if len(fixed) == 2 and tuple(fixed) != spec.input_size:
        raise InputError(
            f"{path}: expected an input of {list(spec.input_size)} px (height, width), as its metadata says, got "
            f"a network of {fixed} px. Export the model again."
        )


def once_needed(make: Callable[[], Decoder]) -> Decoder:
    """What `make` gives, made at the first call: streams have no use for it."""
    made = cache(make)
    return lambda images_BCHW: made()(images_BCHW)
