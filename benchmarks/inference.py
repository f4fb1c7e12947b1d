"""Images a second from an encoded file to boxes, YOLOX-nano at 416 px, beside the reference's ONNX Runtime demo."""

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks import reference as checkout
from benchmarks.timing import alternate, hardware, seconds
from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from yolox_core.config import AUTO, RUNTIMES
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtime_timing import measure_exported
from yolox_core.model.weights import read_weights, release
from yolox_core.ops.boxes import cxcywh_to_xyxy
from yolox_core.structures import FloatArray

SIZE = (416, 416)
CONFIDENCE, NMS_IOU = 0.1, 0.45  # the reference's demo
ROUNDS = 7
COMPARED = 16  # images whose decoded predictions are compared


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`inference_speedup` of ONNX Runtime, `_torch`, `_openvino` and `_auto`: throughput over all images of `data`."""
    if data is None or weights is None:
        raise InputError(
            "--data and --weights: expected a folder of annotated images and Megvii's YOLOX-nano, not both given."
        )
    records, _ = check(read_dataset(data)[0])
    paths = [records.path(image) for image in records.images]
    result: dict[str, Any] = {"hardware": hardware("cpu"), "data": data.name, "images": len(paths), "size": SIZE}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        released = convert(weights, folder)
        result["fastest_measured"] = measure_exported(released)  # what "auto" takes from now on
        ours: dict[str, Callable[[], None]] = {
            runtime: stream(Predictor.load(released, runtime=runtime), paths) for runtime in (*RUNTIMES, AUTO)
        }
        if reference is None:
            rates = {key: len(paths) / min(seconds(load) for _ in range(ROUNDS)) for key, load in ours.items()}
            return result | {f"{key}_images_per_second": rate for key, rate in rates.items()}
        result["reference"] = checkout.use(reference)
        demo = their_demo(weights, folder)
        same = Predictor.load(released, runtime="onnx")
        result["largest_difference"] = difference(same, demo, paths[:COMPARED])
        for key, load in ours.items():
            pair = alternate(load, lambda: [demo(path) for path in paths], ROUNDS)
            row = pair.row()
            result["inference_speedup" + ("" if key == "onnx" else f"_{key}")] = pair.speedup
            result[key] = row | {
                "ours_images_per_second": len(paths) / row["ours_s"],
                "reference_images_per_second": len(paths) / row["reference_s"],
            }
    return result


def convert(weights: Path, folder: Path) -> Path:
    """Megvii's weights as a released folder of the input size, with its ONNX twin."""
    read = read_weights(weights)
    released = folder / "released"
    release(released, read.build(), dataclasses.replace(read.spec, input_size=SIZE))
    export_onnx(released, released / "model.onnx")
    return released


def stream(predictor: Predictor, paths: list[Path]) -> Callable[[], None]:
    """Detections of all images, as `yolox predict` finds them."""

    def load() -> None:
        for answer in predictor.stream(paths, CONFIDENCE, NMS_IOU):
            if isinstance(answer, InputError):
                raise answer

    return load


class TheirDemo:
    """demo/ONNXRuntime/onnx_inference.py: read, fit, run, decode in NumPy, NMS in NumPy; one image after the other."""

    def __init__(self, onnx: Path) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])

    def __call__(self, path: Path) -> Any:
        from yolox.utils import multiclass_nms

        predictions, ratio = self.decoded(path)
        boxes = cxcywh_to_xyxy(torch.from_numpy(predictions[:, :4])).numpy() / ratio
        return multiclass_nms(boxes, predictions[:, 4:5] * predictions[:, 5:], nms_thr=NMS_IOU, score_thr=CONFIDENCE)

    def decoded(self, path: Path) -> tuple[FloatArray, float]:
        """Predictions [A, 4+1+C] with boxes as centre and size in network px, and network pixels per source pixel."""
        from yolox.data.data_augment import preproc
        from yolox.utils import demo_postprocess

        image, ratio = preproc(cv2.imread(str(path)), SIZE)
        (output,) = self.session.run(None, {"images": image[None]})
        return demo_postprocess(output, SIZE)[0], ratio


def their_demo(weights: Path, folder: Path) -> TheirDemo:
    """The reference's model, exported as its tools/export_onnx.py does: undecoded, batch 1."""
    from torch import nn
    from yolox.exp import get_exp
    from yolox.models.network_blocks import SiLU
    from yolox.utils import replace_module

    with contextlib.redirect_stdout(io.StringIO()):
        model = get_exp(None, "yolox-nano").get_model()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model"])
    model = replace_module(model.eval(), nn.SiLU, SiLU)
    model.head.decode_in_inference = False
    target = folder / "reference.onnx"
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, *SIZE),),
        str(target),
        input_names=["images"],
        output_names=["output"],
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    return TheirDemo(target)


def difference(ours: Predictor, demo: TheirDemo, paths: list[Path]) -> dict[str, float]:
    """Largest difference of the decoded predictions, before any selection: boxes in px, and probabilities."""
    boxes = scores = 0.0
    for path in paths:
        expected, _ = demo.decoded(path)
        got = ours.decoded(read_image(path))
        corners = cxcywh_to_xyxy(torch.from_numpy(expected[:, :4])).numpy()
        boxes = max(boxes, float(np.abs(got[:, :4] - corners).max()))
        scores = max(scores, float(np.abs(got[:, 4:] - expected[:, 4:]).max()))
    return {"boxes_px": boxes, "probabilities": scores}
