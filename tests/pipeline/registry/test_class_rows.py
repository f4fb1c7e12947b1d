"""What a trained detector finds when its classes are added to, removed or put in another order, before any step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.registry.versions_project import CATEGORIES, Models, scenes
from yolox_core.config import EvaluateConfig
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detect import detect_all
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import load_weights, read_weights, release
from yolox_core.model.yolox import build_model

MEASURED = EvaluateConfig(confidence=0.01, nms_iou=0.65)


def figures(folder: Path, truth: DatasetRecords) -> dict[str, float]:
    """Map by class."""
    found = detect_all(Predictor.load(folder, runtime="torch"), truth, MEASURED)
    metrics = measure(truth, found).metrics
    return {name: value for name, value in metrics.items() if name.startswith("class/") and value >= 0}


def renamed(truth: DatasetRecords, names: Sequence[str]) -> DatasetRecords:
    """The same boxes, by another list of classes; those whose class is not in it go."""
    place = {name: at for at, name in enumerate(names)}
    old = truth.class_names
    images = []
    for image in truth.images:
        kept = image.objects[np.array([old[label] in place for label in image.objects.labels_G], np.bool_)]
        labels_G = np.array([place[old[label]] for label in kept.labels_G], np.int64)
        images.append(replace(image, objects=kept.labelled(labels_G)))
    return replace(truth, categories=tuple(Category(at, name) for at, name in enumerate(names, 1)), images=images)


@pytest.mark.parametrize("names", [("red", "blue", "green"), ("blue", "red"), ("blue",), ("Blue", "green", "RED")])
def test_the_classes_that_are_kept_keep_their_map(models: Models, tmp_path: Path, names: tuple[str, ...]) -> None:
    truth = scenes(tmp_path / "images", range(5000, 5020))
    before = figures(models.good, truth)
    assert set(before) == {f"class/{category.name}/map" for category in CATEGORIES} and min(before.values()) > 0.15
    weights = read_weights(models.good)
    config = replace(weights.spec.model, num_classes=len(names))
    model = build_model(config, seed=2)
    load_weights(model, weights, names)
    ids = tuple(range(1, len(names) + 1))
    release(tmp_path / "released", model, replace(weights.spec, model=config, class_names=names, category_ids=ids))
    after = figures(tmp_path / "released", renamed(truth, [name.lower() for name in names]))
    for name in {name.lower() for name in names} - {"green"}:
        assert after[f"class/{name}/map"] == pytest.approx(before[f"class/{name}/map"], abs=0.02)


def test_as_many_other_classes_start_fresh(models: Models) -> None:
    weights = read_weights(models.good)
    model = build_model(weights.spec.model, seed=2)
    report = load_weights(model, weights, ("cyan", "pink"))
    assert len(report.fresh) == 6 and "no class of the data is one of the weights: red, blue" in report.lines()[-1]
