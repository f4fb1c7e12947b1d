"""The forms in which a detector is served: written into a folder, compared with PyTorch, and timed."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yolox_core.config import ExportForm, RuntimeName
from yolox_core.data.image_io import read_image
from yolox_core.export.onnx import export_onnx, export_openvino
from yolox_core.export.onnx_nms import NmsModel, export_nms
from yolox_core.export.quantize import quantize
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtimes import ONNX_FILE, open_runtime
from yolox_core.model.weights import read_weights
from yolox_core.structures import Detections, FloatArray, ImageArray

# form -> its file and what runs it
FILES: dict[ExportForm, tuple[str, RuntimeName]] = {
    "onnx": (ONNX_FILE, "onnx"),
    "nms": ("model_nms.onnx", "onnx"),
    "openvino": ("model.xml", "openvino"),
    "int8": ("model_int8.onnx", "onnx"),
    "int8-openvino": ("model_int8.xml", "openvino"),
}
INT8: tuple[ExportForm, ...] = ("int8", "int8-openvino")
WARM_UP, ROUNDS = 3, 9

Call = Callable[[], object]


def write_forms(weights: Path, forms: Sequence[ExportForm], folder: Path, calibration: Sequence[Path]) -> None:
    """Write the model at `weights` in each of `forms` into `folder`; `calibration` are the images for integers."""
    spec = read_weights(weights).spec
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        onnx = work / ONNX_FILE  # what all others are made of
        export_onnx(weights, onnx)
        for form in forms:
            target = folder / FILES[form][0]
            if form == "onnx":
                target.write_bytes(onnx.read_bytes())
            elif form == "nms":
                export_nms(onnx, target, spec)
            elif form == "openvino":
                export_openvino(onnx, target)
            elif form == "int8":
                quantize(onnx, target, map(read_image, calibration))
            else:
                quantize(onnx, work / "int8.onnx", map(read_image, calibration), for_openvino=True)
                export_openvino(work / "int8.onnx", target)


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of the paths, evenly spaced, always the same; all where there are fewer."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [paths[place] for place in places]


def load_form(folder: Path, form: ExportForm) -> Predictor | NmsModel:
    """One of the forms in `folder`, ready for images."""
    file, runtime = FILES[form]
    return NmsModel(folder / file) if form == "nms" else Predictor.load(folder / file, runtime=runtime)


def describe(
    weights: Path, folder: Path, forms: Sequence[ExportForm], images: Sequence[ImageArray], rounds: int = ROUNDS
) -> dict[str, Any]:
    """For PyTorch and each form: file, bytes, the largest difference from PyTorch on `images`, ms an image.

    The difference is of all outputs before selection, px or probability, boxes cut at the input's frame; of `nms` of
    its detections, in the images' own pixels, and None where rounding at a threshold gave another number of them.
    """
    reference = Predictor.load(weights)
    times = _milliseconds(weights, folder, forms, rounds)
    rows: dict[str, Any] = {"torch": times["torch"]}
    for form in forms:
        file, runtime = FILES[form]
        parts = [folder / file, *([(folder / file).with_suffix(".bin")] if runtime == "openvino" else [])]
        rows[form] = {
            "file": file,
            "runtime": runtime,
            "bytes": sum(part.stat().st_size for part in parts),
            "max_difference": _difference(reference, load_form(folder, form), images),
            **times[form],
        }
    return rows


def _difference(reference: Predictor, form: Predictor | NmsModel, images: Iterable[ImageArray]) -> float | None:
    largest = 0.0
    for image in images:
        if isinstance(form, Predictor):
            first, second = (_within(model.decoded(image), model.spec.input_size) for model in (reference, form))
            largest = max(largest, float(np.abs(first - second).max()))
            continue
        spec = form.spec
        ours, its = (model.predict([image], spec.confidence, spec.nms_iou)[0] for model in (reference, form))
        if sorted(ours.labels_N) != sorted(its.labels_N):
            return None
        largest = max([largest, *(_apart(ours, its, label) for label in np.unique(ours.labels_N))])
    return largest


def _apart(ours: Detections, its: Detections, label: int) -> float:
    """The largest difference of one class's detections, each beside the nearest box: scores that tie change places."""
    from scipy.optimize import linear_sum_assignment

    mine, theirs = ours.labels_N == label, its.labels_N == label
    boxes_NM = np.abs(ours.boxes_N4_source[mine][:, None] - its.boxes_N4_source[theirs]).max(axis=2)
    mine_K, theirs_K = linear_sum_assignment(boxes_NM)
    scores_K = np.abs(ours.scores_N[mine][mine_K] - its.scores_N[theirs][theirs_K])
    return float(max(boxes_NM[mine_K, theirs_K].max(), scores_K.max()))


def _within(decoded_A: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The same with boxes cut at the input's frame (height, width), as all that use them do.

    A barely trained network says sides of 1e30 px, an exponential, whose rounding would be all that one measured.
    """
    height, width = size
    limit = np.array([width, height, width, height], np.float32)
    return np.concatenate((decoded_A[:, :4].clip(0, limit), decoded_A[:, 4:]), axis=1)


def _milliseconds(weights: Path, folder: Path, forms: Sequence[ExportForm], rounds: int) -> dict[str, dict[str, float]]:
    """One image through the network, on one thread and on all, the forms in turn."""
    # noise: an even image would leave numbers so small that some runtimes slow down
    shape = (1, 3, *read_weights(weights).spec.input_size)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    with_torch = open_runtime(weights, "torch", "cpu").decode
    one: dict[str, Call] = {"torch": lambda: with_torch(torch.from_numpy(images))}
    every: dict[str, Call] = dict(one)
    for form in forms:
        one[form], every[form] = _callers(folder, form, images)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = _in_turn(one, rounds)
    finally:
        torch.set_num_threads(threads)
    together = _in_turn(every, rounds)
    return {name: {"ms_one_thread": alone[name], "ms_all_threads": together[name]} for name in one}


def _callers(folder: Path, form: ExportForm, images: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[Call, Call]:
    """One image through a form: on one thread, and on all."""
    file, runtime = FILES[form]
    if form == "nms":
        alone, together = NmsModel(folder / file, threads=1), NmsModel(folder / file)
        return lambda: alone.run(images), lambda: together.run(images)
    opened = open_runtime(folder / file, runtime, "cpu")
    assert opened.single_core is not None  # torch alone has none
    single, batch = opened.single_core(), torch.from_numpy(images)
    return lambda: single(batch), lambda: opened.decode(batch)


def _in_turn(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Fewest milliseconds of each over rounds of all in turn: what else the machine does can only add to them."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM_UP + rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: round(min(times[WARM_UP:]), 3) for name, times in taken.items()}
