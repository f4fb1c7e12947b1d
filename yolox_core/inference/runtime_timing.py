"""Measures which runtime is the fastest for an exported model on this processor; fastest.py keeps it."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from yolox_core.config import EXPORTED_RUNTIMES, ONNX_FILE, RuntimeName
from yolox_core.cpus import cores
from yolox_core.errors import InputError
from yolox_core.inference.fastest import fastest, keep
from yolox_core.inference.runtime import Decoder, installed_runtimes
from yolox_core.inference.runtimes import open_runtime

logger = logging.getLogger("yolox_core")
ROUNDS, IMAGES = 4, 3  # of each in turn, the first does not count; images a core in a round


def measure_exported(model: Path) -> RuntimeName | None:
    """As `measure`, of a released folder; None, and nothing is measured, where `model` is no folder with an export."""
    exported = model / ONNX_FILE
    return measure(exported) if exported.is_file() else None


def measure(onnx: Path) -> RuntimeName | None:
    """The fastest of the installed runtimes: as measured before, else measured now, a few seconds. None: none is."""
    installed = installed_runtimes()
    if len(installed) < 2:
        return next(iter(installed), None)
    try:
        return fastest(onnx) or keep(onnx, milliseconds(onnx))
    except InputError as refused:  # a runtime that is installed and broken, say: the default may work all the same
        logger.warning("%s: the fastest runtime was not measured: %s", onnx, refused)
        return installed[0]


def milliseconds(onnx: Path) -> dict[RuntimeName, float]:
    """Of an image, every core busy with one of its own: the fewest of the rounds, the runtimes in turn."""
    decoders: dict[RuntimeName, Decoder] = {}
    for name in EXPORTED_RUNTIMES:
        opened = open_runtime(onnx, name)
        assert opened.single_core is not None  # torch alone has none
        decoders[name] = opened.single_core()
    # noise: an even image would leave numbers so small that some runtimes slow down
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *opened.spec.input_size)).astype(np.float32)
    taken: dict[RuntimeName, list[float]] = {name: [] for name in decoders}
    images = [image] * (IMAGES * cores())
    with ThreadPoolExecutor(cores()) as pool:
        for _ in range(ROUNDS):
            for name, run in decoders.items():
                began = time.perf_counter()
                list(pool.map(run, images))
                taken[name].append(1000 * (time.perf_counter() - began) / len(images))
    return {name: round(min(times[1:]), 3) for name, times in taken.items()}
