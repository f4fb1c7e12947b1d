"""What a detector costs whatever it was trained on: parameters, operations, and the time of one image on a CPU."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from yolox_core.config import DetectorSpec
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.runtimes import open_runtime
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model

WARM_UP, REPEATS = 3, 15


def size_of(spec: DetectorSpec) -> dict[str, float]:
    """Parameters, and GFLOPs of an image: two for each multiplication with its addition, convolutions alone."""
    model = build_model(spec.model).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, *spec.input_size))
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
    }


def latency_ms(spec: DetectorSpec) -> float:
    """Median milliseconds of one image in ONNX Runtime on one core; weights do not matter, so any will do."""
    with tempfile.TemporaryDirectory() as folder:
        release(Path(folder) / "model", build_model(spec.model).eval(), spec)
        export_onnx(Path(folder) / "model", Path(folder) / "model.onnx")
        runtime = open_runtime(Path(folder) / "model.onnx", "onnx", "cpu")
        assert runtime.single_core is not None
        run, image = runtime.single_core(), np.zeros((1, 3, *spec.input_size), np.float32)
        seconds = []
        for _ in range(WARM_UP + REPEATS):
            began = time.perf_counter()
            run(image)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP:]) * 1000
