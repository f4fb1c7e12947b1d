"""The trained model in the forms that people serve, each held to what PyTorch says of test images: models/released.

A form that strays too far is refused, and nothing is written. Integers are calibrated on training images alone.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import paths
from pipeline.config.settings import ExportSettings, Settings
from pipeline.data.coco.coco import read_coco
from pipeline.data.prepare.test_split import test_split
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detect import ImageDetector, detect_all
from yolox_core.evaluation.detection_limit import UNLIMITED, deciding
from yolox_core.export.comparison import describe, spread
from yolox_core.export.formats import EXPORT_FORMATS, check_formats, load_format, write_formats
from yolox_core.export.model_cost import size_of
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.processor import processor
from yolox_core.inference.runtime_timing import measure_exported
from yolox_core.model.description import read_spec
from yolox_core.model.weights import read_weights
from yolox_core.structures import ImageArray

COMPARED = 16  # images whose raw outputs are compared; the maps are compared on all
CALIBRATION = 100  # images that set the integers' ranges, as export.int8_images
NOISE_SIZE = (480, 640)  # px, of what is compared where no images are given
RESULT = "export.json"


def export(settings: Settings) -> dict[str, Any]:
    """Write models/released and reports/export.json; InputError where a form is further from PyTorch than allowed.

    Returns what reports/export.json holds.
    """
    options = settings.export
    check_formats(options.formats, "export.formats")
    truth = test_split()
    with new_folder(paths.RELEASED) as target:
        for path in sorted(paths.TRAINED.iterdir()):
            shutil.copyfile(path, target / path.name)
        write_formats(paths.TRAINED, options.formats, target, calibration_images(options))
        report = compare(paths.TRAINED, target, truth, settings)
        for form in options.formats:
            check(form, report["forms"][form], options)
    report["cost"] = size_of(read_spec(paths.TRAINED))
    report["fastest_runtime"] = {processor(): measure_exported(paths.RELEASED)}
    write_json(paths.EXPORT, report)
    return report


def export_model(
    model: str, weights: Path, forms: Sequence[str], output: Path, files: Sequence[Path]
) -> dict[str, Any]:
    """Write any model's forms and export.json into the new folder `output`; returns what export.json says of each.

    `files` are images to compare and calibrate on; without any, noise is compared. Without a data set there is no map:
    what is said of a form is its largest difference from PyTorch.
    """
    value_range = read_weights(weights).spec.value_range
    compared = [read_image(path, value_range) for path in spread(files, COMPARED)] if files else _noise()
    with new_folder(output) as target:
        write_formats(weights, forms, target, spread(files, CALIBRATION) if files else [])
        rows = describe(weights, target, forms, compared)
        write_json(target / RESULT, {"model": model, "images_compared": len(compared), "forms": rows})
    return rows


def compare(trained: Path, released: Path, truth: DatasetRecords, settings: Settings) -> dict[str, Any]:
    """Each form beside PyTorch: difference of outputs, test map, size and time; ONNX again at the top, by old names."""
    forms = settings.export.formats
    value_range = read_spec(trained).value_range
    images = [read_image(truth.path(image), value_range) for image in truth.images[:COMPARED]]
    rows = describe(trained, released, forms, images)

    def maps_of(model: ImageDetector) -> dict[str, float]:
        metrics = measure(truth, detect_all(model, truth, settings.evaluate)).metrics
        return {name: metrics[name] for name in ("map", UNLIMITED) if name in metrics}

    rows["torch"] |= maps_of(Predictor.load(trained, runtime="torch"))
    for form in forms:
        rows[form] |= maps_of(load_format(released, form))
        rows[form]["map_loss"] = (deciding(rows["torch"]) or 0.0) - (deciding(rows[form]) or 0.0)
    onnx = rows["onnx"]
    return {
        "images_compared": len(images),
        "max_difference": onnx["max_difference"],
        "map_torch": rows["torch"]["map"],
        "map_onnx": onnx["map"],
        "map_loss": onnx["map_loss"],
        "forms": rows,
    }


def check(form: str, row: dict[str, Any], options: ExportSettings) -> None:
    """InputError where a form strays. Integers differ by their nature: for them the map alone decides."""
    file, is_integer = EXPORT_FORMATS[form].file, EXPORT_FORMATS[form].is_integer
    key = "max_map_loss_int8" if is_integer else "max_map_loss"
    allowed = getattr(options, key)
    if row["map_loss"] > allowed:
        raise InputError(
            f"{file}: expected at most {allowed} of map lost against PyTorch, got {row['map_loss']:.4f}. "
            f"Raise export.{key} if that is acceptable, or take {form} out of export.formats."
        )
    difference = row["max_difference"]
    if not is_integer and difference is not None and difference > options.max_difference:
        raise InputError(
            f"{file}: expected outputs within {options.max_difference} of PyTorch's, got {difference:.3g}. "
            "Raise export.max_difference if that is acceptable."
        )


def calibration_images(options: ExportSettings) -> list[Path]:
    """Training images that set the ranges of integers, spread over the set; none where no form needs them."""
    if not any(EXPORT_FORMATS[form].is_integer for form in options.formats):
        return []
    training = read_coco(paths.prepared("train"), paths.RAW_IMAGES)
    return spread([training.path(image) for image in training.images], options.int8_images)


def _noise() -> list[ImageArray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*NOISE_SIZE, 3), dtype=np.uint8) for _ in range(4)]
