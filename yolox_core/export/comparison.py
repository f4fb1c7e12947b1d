"""Exported formats beside PyTorch: how far their outputs are apart, and how long an image takes."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yolox_core.export.formats import EXPORT_FORMATS, load_format
from yolox_core.export.onnx_nms import NmsModel
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtimes import open_runtime
from yolox_core.model.weights import read_weights
from yolox_core.structures import Detections, FloatArray, ImageArray

WARM_UP, ROUNDS = 3, 9

Call = Callable[[], object]


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of the paths, evenly spaced, always the same; all where there are fewer."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [paths[place] for place in places]


def describe(
    weights: Path, folder: Path, formats: Sequence[str], images: Sequence[ImageArray], rounds: int = ROUNDS
) -> dict[str, Any]:
    """For PyTorch and each format: file, bytes, the largest difference from PyTorch on `images`, ms an image.

    The difference is of all outputs before selection, px or probability, boxes cut at the input's frame; of `nms` of
    its detections, in the images' own pixels, and None where rounding at a threshold gave another number of them.
    """
    reference = Predictor.load(weights, runtime="torch")
    times = _milliseconds(weights, folder, formats, rounds)
    rows: dict[str, Any] = {"torch": times["torch"]}
    for name in formats:
        file = folder / EXPORT_FORMATS[name].file
        parts = [file, *([file.with_suffix(".bin")] if file.suffix == ".xml" else [])]  # OpenVINO keeps weights apart
        rows[name] = {
            "file": file.name,
            "runtime": EXPORT_FORMATS[name].runtime,
            "bytes": sum(part.stat().st_size for part in parts),
            "max_difference": _difference(reference, load_format(folder, name), images),
            **times[name],
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
        if sorted(ours.labels) != sorted(its.labels):
            return None
        largest = max([largest, *(_apart(ours, its, label) for label in np.unique(ours.labels))])
    return largest


def _apart(ours: Detections, its: Detections, label: int) -> float:
    """The largest difference of one class's detections, each beside the nearest box: scores that tie change places."""
    from scipy.optimize import linear_sum_assignment

    mine, theirs = ours.labels == label, its.labels == label
    boxes_NM = np.abs(ours.boxes[mine][:, None] - its.boxes[theirs]).max(axis=2)
    mine_K, theirs_K = linear_sum_assignment(boxes_NM)
    scores_K = np.abs(ours.scores[mine][mine_K] - its.scores[theirs][theirs_K])
    return float(max(boxes_NM[mine_K, theirs_K].max(), scores_K.max()))


def _within(decoded_A: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The same with boxes cut at the input's frame (height, width), as all that use them do.

    A barely trained network says sides of 1e30 px, an exponential, whose rounding would be all that one measured.
    """
    height, width = size
    limit = np.array([width, height, width, height], np.float32)
    return np.concatenate((decoded_A[:, :4].clip(0, limit), decoded_A[:, 4:]), axis=1)


def _milliseconds(weights: Path, folder: Path, formats: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """One image through the network, on one thread and on all, the formats in turn."""
    # noise: an even image would leave numbers so small that some runtimes slow down
    shape = (1, 3, *read_weights(weights).spec.input_size)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    with_torch = open_runtime(weights, "torch", "cpu").decode
    one: dict[str, Call] = {"torch": lambda: with_torch(images)}
    every: dict[str, Call] = dict(one)
    for name in formats:
        one[name], every[name] = _callers(folder, name, images)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = _in_turn(one, rounds)
    finally:
        torch.set_num_threads(threads)
    together = _in_turn(every, rounds)
    return {name: {"ms_one_thread": alone[name], "ms_all_threads": together[name]} for name in one}


def _callers(folder: Path, name: str, images: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[Call, Call]:
    """One image through a format: on one thread, and on all."""
    chosen = EXPORT_FORMATS[name]
    file = folder / chosen.file
    if chosen.selects:
        alone, together = NmsModel(file, threads=1), NmsModel(file)
        return lambda: alone.run(images), lambda: together.run(images)
    opened = open_runtime(file, chosen.runtime, "cpu")
    assert opened.single_core is not None  # torch alone has none
    single = opened.single_core()
    return lambda: single(images), lambda: opened.decode(images)


def _in_turn(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Fewest milliseconds of each over rounds of all in turn: what else the machine does can only add to them."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM_UP + rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: round(min(times[WARM_UP:]), 3) for name, times in taken.items()}
