"""`yolox export --model`: any model in the forms that people serve, without a data set.

What it says of a form is the largest difference from PyTorch; the loss of map is measured by the stage alone.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.predict.inputs import Still, find
from pipeline.registry.model_reference import locate
from yolox_core.atomic_files import new_folder, write_json
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError, nearest
from yolox_core.export.comparison import describe, spread
from yolox_core.export.formats import EXPORT_FORMATS, write_formats
from yolox_core.inference.runtimes import BY_SUFFIX
from yolox_core.structures import ImageArray

COMPARED = 16  # images whose outputs are compared
CALIBRATION = 100  # images that set the integers' ranges, as export.int8_images
NOISE_SIZE = (480, 640)  # px, of what is compared where no images are given
RESULT = "export.json"


def export(model: str, formats: str, output: Path, images: Path | None) -> None:
    """Write `model` in `formats` (comma-separated) and export.json into `output`, a new or empty folder."""
    forms = _forms(formats)
    calibrated = [form for form in forms if EXPORT_FORMATS[form].is_integer]
    if calibrated and images is None:
        raise InputError(
            f"--formats {calibrated[0]}: expected --images FOLDER to set the integers' ranges, got none. "
            "Give images like those it was trained on, and none that it will be measured on."
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output {output}: expected a new or empty folder, got one that is in use. Name another.")
    if output.resolve() == Path.cwd():
        raise InputError(f"--output {output}: expected a folder to make, got the one that this runs in. Name another.")
    files = _images(images) if images is not None else []
    weights = locate(model)
    if weights.suffix.lower() in BY_SUFFIX:
        raise InputError(f"{model}: expected weights (a released folder, .pt or .pth), got a form made of them.")
    compared = [read_image(path) for path in spread(files, COMPARED)] if files else _noise()
    with new_folder(output) as target:
        write_formats(weights, forms, target, spread(files, CALIBRATION) if files else [])
        rows = describe(weights, target, forms, compared)
        write_json(target / RESULT, {"model": model, "images_compared": len(compared), "forms": rows})
    for form in forms:
        print(f"{output / rows[form]['file']}: {_in_words(rows[form])}")


def _images(folder: Path) -> list[Path]:
    files = [source.path for source in find([str(folder)]) if isinstance(source, Still)]
    if not files:
        raise InputError(f"--images {folder}: expected images, got videos alone.")
    return files


def _forms(formats: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in formats.split(",")))
    for name in names:
        if name not in EXPORT_FORMATS:
            near = nearest(name, EXPORT_FORMATS)
            raise InputError(f"--formats: expected some of {', '.join(EXPORT_FORMATS)}, got {name!r}. {near}")
    return names


def _noise() -> list[ImageArray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*NOISE_SIZE, 3), dtype=np.uint8) for _ in range(4)]


def _in_words(row: dict[str, Any]) -> str:
    difference = row["max_difference"]
    apart = "another number of detections" if difference is None else f"largest difference {difference:.2g}"
    times = f"{row['ms_one_thread']:.1f} ms on one thread, {row['ms_all_threads']:.1f} ms on all"
    return f"{row['bytes'] / 1e6:.1f} MB, {apart}, {times}"
