"""`yolox export --model`: any model in the forms that people serve, without a data set.

What it says of a form is the largest difference from PyTorch; the loss of map is measured by the stage alone.
"""

from pathlib import Path
from typing import Any

from pipeline.predict.inputs import Still, find
from pipeline.registry.export import export_model
from pipeline.registry.model_reference import locate
from yolox_core.errors import InputError, nearest, on_one_line
from yolox_core.export.formats import EXPORT_FORMATS
from yolox_core.inference.runtimes import BY_SUFFIX


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
    rows = export_model(model, weights, forms, output, files)
    for form in forms:
        print(on_one_line(f"{output / rows[form]['file']}: {_in_words(rows[form])}"))


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


def _in_words(row: dict[str, Any]) -> str:
    difference = row["max_difference"]
    apart = "another number of detections" if difference is None else f"largest difference {difference:.2g}"
    times = f"{row['ms_one_thread']:.1f} ms on one thread, {row['ms_all_threads']:.1f} ms on all"
    return f"{row['bytes'] / 1e6:.1f} MB, {apart}, {times}"
