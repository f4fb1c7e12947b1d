"""Which epoch is the best where an image has more objects of a class than COCO counts."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.yolox_core.conftest import SPEC, opinionated
from tests.yolox_core.training.small import small_job, small_recipe
from yolox_core.config import EvaluateConfig
from yolox_core.data.image_io import read_image
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.evaluation.detection_limit import CEILING, UNLIMITED, crowded
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import read_weights, release
from yolox_core.structures import Objects
from yolox_core.training.checkpoint import read
from yolox_core.training.engine import EpochReport, train


@pytest.mark.training
def test_the_figure_without_limit_decides(tmp_path: Path) -> None:
    """The truth is what the detector finds with a hundred and more boxes; steps so small that it stays as it is."""
    evaluate = EvaluateConfig(confidence=0.01, nms_iou=0.95)
    released = tmp_path / "released"
    release(released, opinionated(), SPEC)
    predictor = Predictor.load(released, runtime="torch")
    job = small_job(tmp_path)
    images = []
    for image in job.training.images[:2]:
        (found,) = predictor.predict([read_image(job.training.path(image))], evaluate.confidence, evaluate.nms_iou)
        objects = Objects(found.boxes, found.labels, np.zeros(len(found), np.bool_))
        images.append(dataclasses.replace(image, objects=objects))
    assert crowded(images)
    categories = tuple(map(Category, SPEC.category_ids, SPEC.class_names))
    truth = DatasetRecords(job.training.image_root, categories, images)
    still = {"learning_rate": 1e-12, "freeze_batch_norm": True, "warmup_epochs": 0}
    recipe = small_recipe(3, epochs=2, closing_epochs=0, input_size=(96, 128), **still)
    recipe = dataclasses.replace(recipe, model=SPEC.model, evaluate=evaluate)
    job = dataclasses.replace(
        job, recipe=recipe, spec=SPEC, training=truth, validation=truth, initial=read_weights(released)
    )
    job = dataclasses.replace(job, checkpoints=tmp_path / "checkpoints")
    row = [report for report in train(job) if isinstance(report, EpochReport)][-1].history[0]
    assert row["map"] < row[UNLIMITED] and row["map"] <= row[CEILING] < 1
    kept = read(tmp_path / "checkpoints" / "best.pt")["progress"]
    assert kept["best_map"] == row[UNLIMITED] and kept["best_epoch"] == 0
