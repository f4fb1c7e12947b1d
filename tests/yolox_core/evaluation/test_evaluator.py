"""Measuring over several workers is measuring over one: no image lost, none counted twice."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.synthetic.scenes import render
from tests.yolox_core.conftest import SPEC, opinionated
from tests.yolox_core.processes import in_processes
from yolox_core.collectives import World
from yolox_core.config import EvaluateConfig
from yolox_core.data.image_io import read_image
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.evaluator import evaluate
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release
from yolox_core.structures import Objects

CONFIG = EvaluateConfig(confidence=0.05, nms_iou=0.5)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> DatasetRecords:
    """Five images, an odd number, on which the random detector is right about half the time.

    Their objects are every other thing that it finds, one of three moved aside.
    """
    root = tmp_path_factory.mktemp("scenes")
    release(root / "released", opinionated(), SPEC)
    predictor = Predictor.load(root / "released")
    records = render(root, 5, seed=2)
    images = []
    for image in records.images:
        (found,) = predictor.predict([read_image(records.path(image))], 0.2, CONFIG.nms_iou)
        boxes = found.boxes[::2].copy()
        boxes[::3] += np.float32(5)
        count = len(boxes)
        assert count > 3
        objects = Objects(boxes, found.labels[::2], np.zeros(count, np.bool_))
        images.append(dataclasses.replace(image, objects=objects, image_id=50 - image.image_id))
    categories = tuple(map(Category, SPEC.category_ids, SPEC.class_names))
    return DatasetRecords(records.image_root, categories, images)


def work(truth: DatasetRecords, few: DatasetRecords) -> list[dict[str, float]]:
    """In each worker."""
    model, world = opinionated(), World.current()
    return [evaluate(model, records, SPEC, CONFIG, world, CPU, batch_size=2) for records in (truth, few)]


def test_one_worker_measures_what_the_predictor_finds(truth: DatasetRecords) -> None:
    metrics = evaluate(opinionated(), truth, SPEC, CONFIG, World(), CPU, batch_size=2)
    assert 0.05 < metrics["map"] < 0.95
    for batch_size in (1, 5):
        again = evaluate(opinionated(), truth, SPEC, CONFIG, World(), CPU, batch_size=batch_size)
        assert again == pytest.approx(metrics, abs=1e-6)
    predictor = Predictor.load(truth.image_root.parent / "released")
    found = []
    for image in truth.images:
        (detections,) = predictor.predict([read_image(truth.path(image))], CONFIG.confidence, CONFIG.nms_iou)
        found += detections.to_json(image.file_name, image.image_id)
    assert measure(truth, found).metrics == pytest.approx(metrics, abs=1e-6)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_equal_one(truth: DatasetRecords, tmp_path: Path, workers: int) -> None:
    """Five images, and a single one: then all workers but the first have nothing to do."""
    few = dataclasses.replace(truth, images=truth.images[:1])
    expected = [evaluate(opinionated(), records, SPEC, CONFIG, World(), CPU, batch_size=2) for records in (truth, few)]
    results = in_processes(work, tmp_path, truth, few, workers=workers)
    assert all(result == results[0] for result in results)
    for got, alone in zip(results[0], expected, strict=True):
        assert got == pytest.approx(alone, abs=1e-6)
    assert results[0][0] != results[0][1]
