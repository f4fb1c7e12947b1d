"""Memory of the training loader over epochs: what its processes hold together, shared pages counted once."""

import dataclasses
from pathlib import Path
from typing import Any

import psutil

from benchmarks.loader import BATCH, ONE_SIZE, POOL, RECIPE
from benchmarks.timing import hardware
from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from yolox_core.data.dataset import TrainingSet
from yolox_core.data.epoch_plan import epoch_plan
from yolox_core.data.loader import Loader
from yolox_core.errors import InputError

EPOCHS = 6  # the first fills caches and is not compared
WORKERS = (0, 2)
CACHE_BYTES = 64 << 20  # less than the data need, so that it is full after an epoch


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`memory_growth_<workers>`, and `memory_growth_pool_...`: MiB after the last epoch over those after the first.

    The reference is not asked.
    """
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    records, _ = check(read_dataset(data)[0])
    result: dict[str, Any] = {"hardware": hardware("cpu"), "data": data.name, "images": len(records.images)}
    for name, recipe in (("", RECIPE), ("_pool", dataclasses.replace(RECIPE, mosaic_pool=POOL))):
        for workers in WORKERS:
            dataset = TrainingSet(records, recipe, seed=0, cache_bytes=CACHE_BYTES)
            held = []
            with Loader(dataset, workers) as loader:
                for epoch in range(EPOCHS):
                    for _ in loader.batches(epoch_plan(len(dataset), BATCH, epoch, 0, ONE_SIZE, False)):
                        pass
                    held.append(held_mib())
            result[f"memory_mib{name}_{workers}"] = held
            result[f"memory_growth{name}_{workers}"] = held[-1] / held[0]
    return result


def held_mib() -> float:
    """What this process and all below it hold: each page shared among n processes counts 1/n."""
    tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(process.memory_full_info().pss for process in tree) / 2**20
