"""Training end to end on real images, loader and all: images a second, and where the time goes."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader import POOL, RECIPE
from benchmarks.step import SETTINGS
from benchmarks.timing import hardware
from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from yolox_core.config import DetectorSpec, ModelConfig, Recipe, TrainConfig
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.training.engine import EpochReport, TrainingJob, train

STEPS = {"cpu": 10, "cuda": 60}  # an epoch
EPOCHS = 3  # the first starts processes and fills caches; it is not reported


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """Images a second and shares of the time, with a pool of neighbours and with all images to draw on.

    The reference is not asked: it has no clock of its own.
    """
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    size, side, images = SETTINGS[device]
    records = repeated(check(read_dataset(data)[0])[0], STEPS[device] * images)
    workers = len(os.sched_getaffinity(0)) if device == "cuda" else 0
    result: dict[str, Any] = {"hardware": hardware(device), "model": size, "input_px": side, "images": images}
    result |= {"data": data.name, "loader_workers": workers}
    for name, augment in (("", RECIPE), ("_pool", dataclasses.replace(RECIPE, mosaic_pool=POOL))):
        model = ModelConfig.of_size(size, len(records.categories))
        settings = TrainConfig(
            epochs=EPOCHS, closing_epochs=0, warmup_epochs=0, batch_size=images, input_size=(side, side),
            learning_rate=1e-4,
        )  # fmt: skip
        recipe = Recipe(model=model, augment=augment, train=settings)
        spec = DetectorSpec(model, records.class_names, records.category_ids, (side, side))
        job = TrainingJob(recipe, spec, records, device=torch.device(device), loader_workers=workers)
        timings = [report.timing for report in train(job) if isinstance(report, EpochReport)]
        result[f"training{name}"] = timings[1:]
    return result


def repeated(records: DatasetRecords, images: int) -> DatasetRecords:
    """A data set of so many images: the same files again and again, each entry decoded for itself."""
    given = records.images
    entries = [dataclasses.replace(given[at % len(given)], image_id=at + 1) for at in range(images)]
    return dataclasses.replace(records, images=entries)
