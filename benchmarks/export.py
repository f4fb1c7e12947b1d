"""Test map, difference, size and time of a detector in every form that it is served in, the forms in turn.

The data set is split as the pipeline splits it; integers are calibrated on its training images alone.
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.recipes import sides
from benchmarks.timing import hardware
from pipeline.config.settings import Settings
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detect import detect_all
from yolox_core.export.comparison import describe, spread
from yolox_core.export.formats import EXPORT_FORMATS, load_format, write_formats
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import read_weights

ROUNDS = 41
COMPARED = 16  # images whose outputs are compared


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """A row a form, and PyTorch's, times as the fastest of the rounds; the runtimes are those of a CPU."""
    if data is None or weights is None:
        raise InputError("--data and --weights: expected a data set and a model trained on it, not both given.")
    settings = Settings()
    training, test = sides(data, settings)
    spec = read_weights(weights).spec
    if spec.class_names != test.class_names:
        raise InputError(
            f"--weights {weights}: expected the classes of {data}, got {', '.join(spec.class_names)[:80]}."
        )
    calibration = spread([training.path(image) for image in training.images], settings.export.int8_images)
    images = [read_image(test.path(image)) for image in test.images[:COMPARED]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "forms"
        folder.mkdir()
        write_formats(weights, list(EXPORT_FORMATS), folder, calibration)
        rows = describe(weights, folder, list(EXPORT_FORMATS), images, ROUNDS)
        for form in ("torch", *EXPORT_FORMATS):
            model = Predictor.load(weights) if form == "torch" else load_format(folder, form)
            rows[form]["map"] = measure(test, detect_all(model, test, settings.evaluate)).metrics["map"]
    return {
        "hardware": hardware("cpu"),
        "data": data.name,
        "test_images": len(test.images),
        "architecture": spec.to_dict()["architecture"],
        "input_size": list(spec.input_size),
        "forms": rows,
    }
