"""A network ready to run, whatever runs it, and what is asked of an exported file before it does."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from yolox_core.config import EXPORTED_RUNTIMES, ONNX_FILE, ONNX_SPEC_KEY, RUNTIMES, DetectorSpec, RuntimeName
from yolox_core.errors import InputError
from yolox_core.model.description import DAMAGED, parse_spec
from yolox_core.structures import FloatArray

PREDICTIONS = "predictions"  # an exported network's output, before any selection
# what a runtime is called, the module that it needs, and what brings it
TITLES: dict[RuntimeName, str] = {"torch": "PyTorch", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
PACKAGES: dict[RuntimeName, str] = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
BROUGHT_BY: dict[RuntimeName, str] = {
    "torch": "'yolox-pipeline[train]'",
    "onnx": "onnxruntime",
    "openvino": "'yolox-pipeline[openvino]'",
}

Shape = tuple[str, Sequence[int | None]]  # element type, and the sides
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"  # of the environment

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


@contextmanager
def importing(runtime: RuntimeName, path: Path) -> Iterator[None]:
    """Around the import of a runtime: InputError, for the model at `path`, where it is not installed or is broken.

    It reports to nobody: ONNX Runtime reads the variable when it is imported.
    """
    has_others = runtime != "torch" or (path / ONNX_FILE).is_file()
    others = "; or take --runtime " + " or ".join(name for name in RUNTIMES if name != runtime) if has_others else ""
    if not is_installed(runtime):
        raise InputError(
            f"{path}: needs {TITLES[runtime]}, which is not installed. Run: pip install {BROUGHT_BY[runtime]}{others}."
        )
    os.environ.setdefault(NO_TELEMETRY, "1")
    try:
        yield
    except ImportError as broken:
        raise InputError(
            f"{path}: {TITLES[runtime]} is installed, but cannot be imported ({broken}). Install it again{others}."
        ) from broken


def exported_spec(entry: str | None, path: Path) -> DetectorSpec:
    """The description that travels in the file."""
    if entry is None:
        raise InputError(f"{path}: a model without the entry '{ONNX_SPEC_KEY}'; export it with `yolox export`.")
    return parse_spec(entry, f"{path}: {ONNX_SPEC_KEY}", "Export the model again.")


def require_predictions(outputs: Sequence[str], path: Path) -> None:
    """InputError for a file of ours whose graph ends in detections."""
    if PREDICTIONS not in outputs:
        raise InputError(
            f"{path}: expected an output '{PREDICTIONS}', got {', '.join(outputs)}. "
            f"This file selects by itself, for other programs: take {ONNX_FILE}."
        )


def require_shapes(inputs: Sequence[Shape], output: Shape, spec: DetectorSpec, path: Path) -> None:
    """InputError where a graph is not that of its description: float32 [batch, 3, H, W] in, [batch, A, 4+1+C] out.

    Each is the name of its element type and its sides, None where one is not fixed.
    """
    height, width = spec.input_size
    _require_shape("input", inputs, [None, 3, height, width], path)
    _require_shape("output", [output], [None, None, 5 + len(spec.class_names)], path)


def _require_shape(what: str, found: Sequence[Shape], sides: Sequence[int | None], path: Path) -> None:
    if len(found) == 1 and found[0][0] == "float32" and _agree(found[0][1], sides):
        return
    got = " and ".join(f"{kind} {_shown(given)}" for kind, given in found) or "none"
    raise InputError(
        f"{path}: expected one {what}, float32 {_shown(sides)}, as its metadata says, got {got}. "
        "Export the model again."
    )


def _shown(sides: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in sides)}]"


def _agree(found: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether sides are as many, and equal where both are fixed; the first, a batch, must be open."""
    pairs = list(zip(found, wanted, strict=False))
    return len(found) == len(wanted) and found[0] is None and all(None in pair or pair[0] == pair[1] for pair in pairs)


def require_finite(tensors: Iterable[tuple[str, npt.NDArray[np.floating]]], path: Path) -> None:
    """InputError for a model with a weight that is no finite number, by the name of its tensor."""
    for name, values in tensors:
        with np.errstate(all="ignore"):
            suspect = not np.isfinite(values.sum())  # of one pass; a sum may also run over
        if suspect and not np.isfinite(values).all():
            raise InputError(f"{path}: expected finite weights, got NaN or infinity in {name}. {DAMAGED}")


def once_needed(make: Callable[[], Decoder]) -> Decoder:
    """What `make` gives, made at the first call: streams have no use for it."""
    made = cache(make)
    return lambda images_BCHW: made()(images_BCHW)
