"""The list of export formats: the file of each, how it is made and what runs it.

To add one, put how it is made into a file of its own beside this one, and an entry here: params.yaml's check, the
command line's help, the comparison with PyTorch and its timing follow. An entry imports what it needs when it is used,
so that naming the formats costs nothing.
"""

import reprlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_core.config import ONNX_FILE, DetectorSpec, RuntimeName
from yolox_core.errors import InputError, nearest

if TYPE_CHECKING:
    from yolox_core.export.onnx_nms import NmsModel
    from yolox_core.inference.predictor import Predictor


@dataclass(frozen=True)
class Source:
    """What every format is made of."""

    onnx: Path  # the network in float32
    spec: DetectorSpec
    calibration: Sequence[Path]  # images whose values set the integers' ranges


@dataclass(frozen=True)
class ExportFormat:
    """One form in which a detector is served."""

    file: str
    runtime: RuntimeName
    write: Callable[[Source, Path], None]
    is_integer: bool = False  # needs calibration, and strays from PyTorch by its nature
    selects: bool = False  # ends in detections: non-maximum suppression is in the graph


def _write_onnx(source: Source, target: Path) -> None:
    target.write_bytes(source.onnx.read_bytes())


def _write_nms(source: Source, target: Path) -> None:
    from yolox_core.export.onnx_nms import export_nms

    export_nms(source.onnx, target, source.spec)


def _write_openvino(source: Source, target: Path) -> None:
    from yolox_core.export.onnx import export_openvino

    export_openvino(source.onnx, target)


def _write_int8(source: Source, target: Path) -> None:
    from yolox_core.data.image_io import read_image
    from yolox_core.export.quantize import quantize

    quantize(source.onnx, target, (read_image(path, source.spec.value_range) for path in source.calibration))


def _write_int8_openvino(source: Source, target: Path) -> None:
    from yolox_core.data.image_io import read_image
    from yolox_core.export.onnx import export_openvino
    from yolox_core.export.quantize import quantize

    integers = source.onnx.with_name("int8.onnx")
    images = (read_image(path, source.spec.value_range) for path in source.calibration)
    quantize(source.onnx, integers, images, for_openvino=True)
    export_openvino(integers, target)


EXPORT_FORMATS: dict[str, ExportFormat] = {  # docs/export.md
    "onnx": ExportFormat(ONNX_FILE, "onnx", _write_onnx),
    "nms": ExportFormat("model_nms.onnx", "onnx", _write_nms, selects=True),
    "openvino": ExportFormat("model.xml", "openvino", _write_openvino),
    "int8": ExportFormat("model_int8.onnx", "onnx", _write_int8, is_integer=True),
    "int8-openvino": ExportFormat("model_int8.xml", "openvino", _write_int8_openvino, is_integer=True),
}


def check_formats(names: Sequence[str], where: str) -> None:
    """InputError where one of `names`, a list written at `where`, is no export format."""
    for place, name in enumerate(names):
        if name not in EXPORT_FORMATS:
            raise InputError(
                f"{where}[{place}]: expected one of {', '.join(EXPORT_FORMATS)}, got {reprlib.repr(name)}. "
                f"{nearest(name, EXPORT_FORMATS)}"
            )


def write_formats(weights: Path, names: Sequence[str], folder: Path, calibration: Sequence[Path]) -> None:
    """Write the model at `weights` in each format into `folder`; `calibration` are the images for integers."""
    from yolox_core.export.onnx import export_onnx
    from yolox_core.model.weights import read_weights

    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        source = Source(Path(work) / ONNX_FILE, read_weights(weights).spec, calibration)
        export_onnx(weights, source.onnx)
        for name in names:
            EXPORT_FORMATS[name].write(source, folder / EXPORT_FORMATS[name].file)


def load_format(folder: Path, name: str) -> "Predictor | NmsModel":
    """The model in `folder` in one of its formats, ready for images."""
    from yolox_core.export.onnx_nms import NmsModel
    from yolox_core.inference.predictor import Predictor

    one = EXPORT_FORMATS[name]
    return NmsModel(folder / one.file) if one.selects else Predictor.load(folder / one.file, runtime=one.runtime)
