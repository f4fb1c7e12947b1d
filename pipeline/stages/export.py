"""DVC stage `export`: the trained model with an ONNX twin, and how far the two are apart on the test images."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.settings import Settings
from pipeline.stages.evaluate import detect_all, test_split
from yolox_core.datasets.atomic import new_folder, write_json
from yolox_core.datasets.images import read_image
from yolox_core.datasets.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.evaluation.coco import measure
from yolox_core.export import export_onnx
from yolox_core.predictor import Predictor
from yolox_core.runtimes import ONNX_FILE

COMPARED = 16  # images whose raw outputs are compared; the maps are compared on all


def run(settings: Settings) -> None:
    """Write models/released and reports/export.json; InputError where ONNX loses more map than allowed."""
    truth = test_split()
    with new_folder(paths.RELEASED) as target:
        for path in sorted(paths.TRAINED.iterdir()):
            shutil.copyfile(path, target / path.name)
        export_onnx(paths.TRAINED, target / ONNX_FILE)
        report = compare(paths.TRAINED, target / ONNX_FILE, truth, settings)
        if report["map_loss"] > settings.export.max_map_loss:
            raise InputError(
                f"{ONNX_FILE}: expected at most {settings.export.max_map_loss} of map lost against PyTorch, "
                f"got {report['map_loss']:.4f}. Raise export.max_map_loss if that is acceptable."
            )
    write_json(paths.EXPORT, report)
    maps = f"{report['map_torch']:.4f} -> {report['map_onnx']:.4f}"
    print(f"export: largest difference {report['max_difference']:.2g}, map {maps}")


def compare(released: Path, onnx: Path, truth: DatasetRecords, settings: Settings) -> dict[str, Any]:
    """Largest difference of decoded outputs (px or probability), and the test map through each."""
    through = {"torch": Predictor.load(released), "onnx": Predictor.load(onnx)}
    images = [read_image(truth.image_root / image.file_name) for image in truth.images[:COMPARED]]
    difference = 0.0
    for image in images:
        first, second = (predictor.decoded(image) for predictor in through.values())
        difference = max(difference, float(np.abs(first - second).max()))
    maps = {
        name: measure(truth, detect_all(predictor, truth, settings.evaluate)).metrics["map"]
        for name, predictor in through.items()
    }
    return {
        "images_compared": len(images),
        "max_difference": difference,
        "map_torch": maps["torch"],
        "map_onnx": maps["onnx"],
        "map_loss": maps["torch"] - maps["onnx"],
    }


if __name__ == "__main__":
    stage_main(run)
