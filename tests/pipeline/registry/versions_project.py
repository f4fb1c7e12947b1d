"""A project in which small detectors are really trained, measured and registered, without the minutes of a pipeline."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

from pipeline.config import paths
from pipeline.config.settings import load_settings
from pipeline.data.coco.coco import write_coco
from pipeline.registry.model_reference import STARTED_FROM
from pipeline.registry.register import CHAMPION
from pipeline.registry.store import connect, tracking_uri
from pipeline.stages import evaluate, prepare, register
from tests.needs import ROOT
from yolox_core.atomic_files import write_json
from yolox_core.config import WEIGHTS_FILE, AugmentConfig, DetectorSpec, ModelConfig, Recipe, TrainConfig
from yolox_core.data.image_io import content_digests
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.model.weights import read_weights, release
from yolox_core.structures import Objects
from yolox_core.training.engine import EpochReport, TrainingJob, train

NAME = "yolox-boxes"
COLOURS = ((40, 40, 220), (220, 90, 30))  # BGR
CATEGORIES = (Category(1, "red"), Category(2, "blue"))
SIDE, INPUT = 96, 64
EPOCHS, EARLY = 14, 8


def scenes(folder: Path, numbers: range) -> DatasetRecords:
    """Grey noise with one to three plain boxes, a function of each image's number."""
    return DatasetRecords(folder, CATEGORIES, [_scene(folder, number) for number in numbers])


def _scene(folder: Path, number: int) -> ImageRecord:
    rng = np.random.default_rng(number)
    image = rng.integers(90, 150, (SIDE, SIDE, 3)).astype(np.uint8)
    boxes, labels = [], []
    for x, y in rng.permutation([(0, 0), (48, 0), (0, 48), (48, 48)])[: rng.integers(1, 4)]:
        width, height = rng.integers(18, 44, 2)
        left, top = x + rng.integers(0, 49 - width), y + rng.integers(0, 49 - height)
        labels.append(int(rng.integers(0, 2)))
        boxes.append([left, top, left + width, top + height])
        image[top : top + height, left : left + width] = COLOURS[labels[-1]]
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{number}.png"), image)
    return ImageRecord(
        number,
        f"{number}.png",
        SIDE,
        SIDE,
        Objects(np.array(boxes, np.float32), np.array(labels, np.int64), np.zeros(len(labels), np.bool_)),
    )


@dataclasses.dataclass(frozen=True)
class Models:
    """Released folders."""

    early: Path  # after half of the training
    good: Path  # after all of it
    twin: Path  # the good one's weights in other bytes
    near: Path  # the good one's weights, each a little off: better on some images, worse on others


def train_models(folder: Path) -> Models:
    """Train once and keep two states of it."""
    records = scenes(folder / "images", range(1000, 1048))
    recipe = Recipe(
        model=ModelConfig(num_classes=2, width=0.125),
        seed=3,
        augment=AugmentConfig(mosaic=0.0, mixup=0.0, multiscale=None, hsv=0.0, degrees=0.0, translate=0.0, shear=0.0),
        train=TrainConfig(
            epochs=EPOCHS,
            closing_epochs=1,
            warmup_epochs=1,
            batch_size=8,
            input_size=(INPUT, INPUT),
            optimizer="adamw",
            learning_rate=0.015,
            weight_decay=0.05,
            ema_decay=0.9,
            ema_warmup=10,
        ),
    )
    spec = DetectorSpec(recipe.model, records.class_names, records.category_ids, recipe.train.input_size)
    models = Models(*(folder / name for name in ("early", "good", "twin", "near")))
    job = TrainingJob(recipe=recipe, spec=spec, training=records, checkpoints=folder / "run", threads=2)
    newest: Path | None = None
    for report in train(job):
        if isinstance(report, EpochReport):
            if len(report.history) == EARLY + 1:
                assert newest is not None  # of the epoch before: this one's is still on its way to disk
                release(models.early, (early := read_weights(newest)).build(), early.spec)
            newest = report.checkpoint
    assert newest is not None
    good = read_weights(newest)
    release(models.good, good.build(), good.spec)
    shutil.copytree(models.good, models.twin)
    weights = models.twin / WEIGHTS_FILE
    save_file(load_file(weights), weights, {"comment": "other bytes"})
    shutil.copytree(models.good, models.near)
    torch.manual_seed(3)
    moved = {
        name: weight + 0.01 * weight.std() * torch.randn_like(weight) if name.endswith("conv.weight") else weight
        for name, weight in load_file(weights).items()
    }
    save_file(moved, models.near / WEIGHTS_FILE)
    return models


class Versions:
    """The current folder as a project: every version goes through the stages prepare, evaluate and register."""

    def __init__(self) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["data"]["split"] = {"val": 0.0, "test": 0.5, "honour": True}
        params["registry"]["name"] = NAME
        paths.PARAMS.write_text(yaml.safe_dump(params), encoding="utf-8")

    def data(self, numbers: range) -> None:
        """These scenes as the project's data, split by content."""
        records = scenes(paths.RAW_IMAGES, numbers)
        paths.VALID_ANNOTATIONS.parent.mkdir(parents=True, exist_ok=True)
        write_coco(records, paths.VALID_ANNOTATIONS)
        write_json(paths.SIMILAR, [])
        names = [record.file_name for record in records.images]
        write_json(paths.DIGESTS, dict(zip(names, content_digests(records), strict=True)))
        prepare.run(load_settings())

    def register(self, model: Path, **summary: Any) -> str:
        """Measure and register a model on the project's data; returns its version."""
        for target in (paths.TRAINED, paths.RELEASED):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(model, target)
        evaluate.run(load_settings())
        write_json(paths.TRAINING, {"run": f"run-{model.name}", STARTED_FROM: None, **summary})
        register.run(load_settings())
        return str(json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))["version"])

    def champion(self) -> str:
        """Its version."""
        return str(connect(tracking_uri()).get_registered_model(NAME).aliases[CHAMPION])

    def tags(self, version: str) -> dict[str, str]:
        """Of a version."""
        return dict(connect(tracking_uri()).get_model_version(NAME, version).tags)

    def test_images(self) -> int:
        """How many the project's data holds out."""
        return int(json.loads(paths.MANIFEST.read_text(encoding="utf-8"))["images"]["test"])


def artifact(pattern: str) -> Path:
    """The one file below mlartifacts that matches."""
    (found,) = Path("mlartifacts").rglob(pattern)
    return found
