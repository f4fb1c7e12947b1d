"""Mosaic and mixup samples a second and core, from image files to what a batch holds, beside the reference's loader."""

import contextlib
import dataclasses
import io
import itertools
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import reference as checkout
from benchmarks.timing import alternate, hardware, seconds
from pipeline.data.checks.doctor import check
from pipeline.data.coco.coco import write_coco
from pipeline.data.formats.read import read_dataset
from yolox_core.config import AugmentConfig
from yolox_core.data import image_cache
from yolox_core.data.collate import collate
from yolox_core.data.dataset import TrainingSet
from yolox_core.data.epoch_plan import epoch_plan, training_sizes
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError

SIZE = (640, 640)
ONE_SIZE = training_sizes(SIZE, None)
BATCH = 8
SAMPLES = 64  # a round
POOL, POOL_BYTES = 64, 128 << 20
ROUNDS = 5
MOST_OBJECTS = 120  # the reference's cap on labels
# the reference's recipe for YOLOX-s (yolox_base.py)
RECIPE = AugmentConfig(mosaic=1.0, mosaic_scale=(0.1, 2.0), mixup=1.0, hsv=1.0, flip=0.5, degrees=10.0)


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`loader_speedup` with every tile decoded, `_pool` with a bounded pool, `_cached` with all images kept decoded."""
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    cv2.setNumThreads(0)  # one core
    records, _ = check(read_dataset(data)[0])
    result: dict[str, Any] = {"hardware": hardware("cpu"), "data": data.name, "images": len(records.images)}
    ours = {
        "": own_loader(records, RECIPE, cache_bytes=0),
        "_pool": own_loader(records, dataclasses.replace(RECIPE, mosaic_pool=POOL), POOL_BYTES),
        "_cached": own_loader(records, RECIPE, image_cache.DEFAULT_CACHE_BYTES),
    }
    ours["_cached"](len(records.images))  # fill
    if reference is None:
        rates = {f"ours{name}": SAMPLES / min(seconds(load) for _ in range(ROUNDS)) for name, load in ours.items()}
        return result | {f"{name}_images_per_second_and_core": rate for name, rate in rates.items()}
    result["reference"] = checkout.use(reference)
    with tempfile.TemporaryDirectory() as folder:
        theirs = their_loader(records, Path(folder))
        for name, load in ours.items():
            pair = alternate(load, theirs, ROUNDS)
            row = pair.row()
            result[f"loader_speedup{name}"] = pair.speedup
            result[f"loader{name}"] = row | {
                "ours_images_per_second_and_core": SAMPLES / row["ours_s"],
                "reference_images_per_second_and_core": SAMPLES / row["reference_s"],
                "ours_decoded_a_sample": calls(image_cache, "read_image", load) / SAMPLES,
                "reference_decoded_a_sample": calls(cv2, "imread", theirs) / SAMPLES,
            }
    return result


def own_loader(records: DatasetRecords, recipe: AugmentConfig, cache_bytes: int) -> Callable[..., None]:
    """Makes the next samples of this project's loader, as batches, epoch after epoch."""
    dataset = TrainingSet(records, recipe, seed=0, cache_bytes=cache_bytes)
    batches = (
        batch for epoch in itertools.count() for batch in epoch_plan(len(dataset), BATCH, epoch, 0, ONE_SIZE, False)
    )

    def load(samples: int = SAMPLES) -> None:
        for keys in itertools.islice(batches, samples // BATCH):
            collate([dataset.load(key) for key in keys])

    return load


def their_loader(records: DatasetRecords, folder: Path) -> Callable[[], None]:
    """Makes the next samples of the reference's MosaicDetection over its COCODataset, stacked as its loader does."""
    from yolox.data import COCODataset, MosaicDetection, TrainTransform

    write_their_files(records, folder)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCODataset(str(folder), "all.json", "all", SIZE, TrainTransform(max_labels=MOST_OBJECTS))
    preproc = TrainTransform(max_labels=MOST_OBJECTS, flip_prob=RECIPE.flip, hsv_prob=RECIPE.hsv)
    mosaic = MosaicDetection(
        dataset, SIZE, mosaic=True, preproc=preproc, degrees=10.0, translate=0.1, mosaic_scale=(0.1, 2.0),
        mixup_scale=(0.5, 1.5), shear=2.0, enable_mixup=True, mosaic_prob=1.0, mixup_prob=1.0,
    )  # fmt: skip
    random.seed(0)
    position = 0

    def load() -> None:
        nonlocal position
        for start in range(position, position + SAMPLES, BATCH):
            np.stack([mosaic[(True, at % len(dataset))][0] for at in range(start, start + BATCH)])
        position += SAMPLES

    return load


def write_their_files(records: DatasetRecords, folder: Path) -> None:
    """The data set in the folders that the reference expects: annotations/all.json and all/."""
    (folder / "annotations").mkdir()
    (folder / "all").mkdir()
    flat = []
    for index, image in enumerate(records.images):
        name = f"{index:06d}{Path(image.file_name).suffix}"
        shutil.copyfile(records.image_root / image.file_name, folder / "all" / name)
        flat.append(dataclasses.replace(image, file_name=name))
    write_coco(dataclasses.replace(records, images=flat), folder / "annotations" / "all.json")


def calls(module: Any, function: str, run: Callable[[], None]) -> int:
    """How often one run calls a function that decodes an image."""
    count, original = 0, getattr(module, function)

    def counted(*words: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        return original(*words, **named)

    setattr(module, function, counted)
    try:
        run()
    finally:
        setattr(module, function, original)
    return count
