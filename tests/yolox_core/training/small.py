"""A tiny detector on a few rendered scenes, for tests of training."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.data.synthetic.scenes import render
from yolox_core.config import AugmentConfig, DetectorSpec, ModelConfig, Recipe, TrainConfig
from yolox_core.data.records import DatasetRecords
from yolox_core.training import engine
from yolox_core.training.engine import EpochReport, TrainingJob

TRAINED, MEASURED = 10, 4


@cache
def scenes(folder: Path) -> DatasetRecords:
    return render(folder, TRAINED + MEASURED, seed=5)


def small_job(folder: Path, recipe: Recipe | None = None, **options: Any) -> TrainingJob:
    """A job on scenes rendered below `folder`; 3 steps an epoch."""
    records = scenes(folder)
    recipe = recipe or small_recipe(len(records.categories))
    spec = DetectorSpec(recipe.model, records.class_names, records.category_ids, recipe.train.input_size)
    return TrainingJob(
        recipe=recipe,
        spec=spec,
        training=dataclasses.replace(records, images=records.images[:TRAINED]),
        validation=options.pop("validation", dataclasses.replace(records, images=records.images[TRAINED:])),
        threads=2,
        **options,
    )


def small_recipe(classes: int = 5, augment: dict[str, Any] | None = None, **train: Any) -> Recipe:
    """Mosaic, mixup, multi-scale, accumulation and averaging all on."""
    return Recipe(
        model=ModelConfig(num_classes=classes, width=0.125),
        seed=3,
        augment=AugmentConfig(**{"mixup": 0.5, "multiscale": (64, 128), **(augment or {})}),
        train=TrainConfig(
            **{
                "epochs": 4,
                "closing_epochs": 1,
                "warmup_epochs": 1,
                "batch_size": 4,
                "micro_batch_size": 2,
                "input_size": (96, 96),
                "ema_decay": 0.9,
                "ema_warmup": 10,
                "learning_rate": 0.02,
                **train,
            }
        ),
    )


def last(job: TrainingJob) -> EpochReport:
    """Train to the end."""
    reports = [report for report in engine.train(job) if isinstance(report, EpochReport)]
    return reports[-1]


@contextmanager
def counted_loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The files that torch.load reads in the block."""
    read: list[Path] = []
    load = torch.load

    def counting(path: Path, **options: Any) -> Any:
        read.append(path)
        return load(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", counting)
        yield read
