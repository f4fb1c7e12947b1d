"""One run of a study: train, then measure on images that were held out, on those trained on, and on those set aside.

Needs neither Ray nor MLflow nor DVC, so that it runs on a machine that has PyTorch and little else.
"""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.data.checks.doctor import check
from pipeline.data.formats.read import read_dataset
from pipeline.study.data import fold_order
from pipeline.study.design import DataChoice, Run
from yolox_core.collectives import World
from yolox_core.config import DetectorSpec
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.evaluation.evaluator import evaluate
from yolox_core.model.weights import read_weights
from yolox_core.training import checkpoint
from yolox_core.training.engine import EpochReport, TrainingJob, train

EVALUATED_AT_ONCE = 16  # images
HEALTH_EPOCHS = 10  # the last of those with mosaics, over which assignment health is averaged
Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The images of a run."""

    training: DatasetRecords
    held_out: DatasetRecords
    set_aside: DatasetRecords  # of several objects, where the study is about one


def parts_of(records: DatasetRecords, choice: DataChoice, seed: int) -> Parts:
    """Fold `seed` held out. Folds follow a hash of the files' names: the same whatever else is in the folder."""
    eligible: list[ImageRecord] = []
    aside: list[ImageRecord] = []
    for image in records.images:
        (eligible if not choice.one_object or len(image.objects) == 1 else aside).append(image)
    eligible.sort(key=fold_order)
    fold = seed % choice.folds
    held_out = eligible[fold :: choice.folds]
    training = [image for at, image in enumerate(eligible) if at % choice.folds != fold]
    return Parts(*(_of(records, images) for images in (training, held_out, aside)))


def run_one(
    run: Run,
    choice: DataChoice,
    folder: Path,
    device: torch.device,
    loader_workers: int = 0,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train and measure `run` on the data in `folder`: a row of figures, JSON as it is."""
    began = time.perf_counter()
    settings = run.settings
    read = dataclasses.replace(read_dataset(folder)[0], value_range=settings.data.range)
    records, _ = check(read)
    parts = parts_of(records, choice, run.seed)
    recipe = settings.recipe(len(records.categories))
    own, ids = recipe.train.input_size, records.category_ids
    spec = DetectorSpec(recipe.model, records.class_names, ids, own, value_range=records.value_range)
    with tempfile.TemporaryDirectory() as checkpoints:
        job = TrainingJob(
            recipe,
            spec,
            parts.training,
            checkpoints=Path(checkpoints),
            checkpoint_every=recipe.train.epochs,
            device=device,
            loader_workers=loader_workers,
            threads=threads,
        )
        history = [report.history for report in train(job) if isinstance(report, EpochReport)][-1]
        model = read_weights(checkpoint.in_order(Path(checkpoints))[0]).build().eval().to(device)
    trained_s = time.perf_counter() - began

    def measured(truth: DatasetRecords, size: Size) -> dict[str, float]:
        at_size = dataclasses.replace(spec, input_size=size)
        return evaluate(model, truth, at_size, recipe.evaluate, World(), device, EVALUATED_AT_ONCE)

    figures = {
        "held_out": measured(parts.held_out, own),
        "training": measured(parts.training, own),
        "set_aside": measured(parts.set_aside, own),
        "held_out_by_size": {side: measured(parts.held_out, (side, side)) for side in run.test_sizes},
    }
    return {
        "key": run.key,
        "data": run.data,
        "cell": dict(run.cell),
        "seed": run.seed,
        "params": run.digest,
        "images": {name: len(getattr(parts, name).images) for name in ("training", "held_out", "set_aside")},
        "steps": history[-1]["step"],
        "figures": figures,
        "health": _health(history, recipe.train.epochs - recipe.train.closing_epochs),
        "loss": [row["loss"] for row in history],
        "trained_s": round(trained_s, 1),
        "whole_s": round(time.perf_counter() - began, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def _health(history: Sequence[dict[str, Any]], closing_start: int) -> dict[str, float]:
    """Each health figure's mean over the last epochs before the closing phase."""
    rows = [row for row in history if closing_start - HEALTH_EPOCHS <= row["epoch"] < closing_start]
    names = sorted({name for row in rows for name in row if name.startswith("assign/")})
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}


def _of(records: DatasetRecords, images: Sequence[ImageRecord]) -> DatasetRecords:
    return dataclasses.replace(records, images=list(images))
