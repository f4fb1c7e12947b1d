"""Runs, reports and released models of the release before, read by this one."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import paths
from pipeline.config.settings import load_settings
from pipeline.data.coco.coco import read_coco
from pipeline.stages import evaluate, register, report
from pipeline.training.run_folder import train_seconds
from yolox_core.config import DetectorSpec, Recipe
from yolox_core.data.image_io import read_image
from yolox_core.inference.predictor import Predictor
from yolox_core.training import checkpoint
from yolox_core.training.engine import EpochReport, Started, TrainingJob, train


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def released_run() -> Path:
    """The folder of the run whose model is released."""
    return paths.RUNS / load(paths.TRAINING)["run"]


def test_a_checkpoint_and_a_released_folder_are_read(earlier: Path, expected: dict[str, Any]) -> None:
    last = checkpoint.newest(released_run() / "checkpoints")
    assert last.path is not None and not last.passed_over
    images = [read_image(Path(name)) for name in expected["images"]]
    ways = (last.path, paths.TRAINED, paths.RELEASED)
    found = [Predictor.load(path, runtime="torch").predict(images, expected["confidence"]) for path in ways]
    for one, other, registered in zip(*found, strict=True):
        assert len(one)
        for found_elsewhere in (other, registered):
            np.testing.assert_array_equal(one.boxes, found_elsewhere.boxes)
            np.testing.assert_array_equal(one.scores, found_elsewhere.scores)


def test_a_run_is_resumed(earlier: Path) -> None:
    """From the last checkpoint, for an epoch more."""
    folder = released_run() / "checkpoints"
    content = checkpoint.newest(folder).content
    assert content is not None
    recipe, spec = Recipe.from_dict(content["recipe"]), DetectorSpec.from_dict(content["spec"])
    longer = dataclasses.replace(recipe.train, closing_epochs=recipe.train.closing_epochs + 1)
    recipe = dataclasses.replace(recipe, train=longer)
    training = read_coco(paths.prepared("train"), paths.RAW_IMAGES)
    started, *_, ended = train(TrainingJob(recipe, spec, training, checkpoints=folder))
    assert isinstance(started, Started) and isinstance(ended, EpochReport)
    assert started.epoch == len(started.history) == content["progress"]["epoch"] > 0
    assert ended.history[:-1] == tuple(content["history"]) and ended.row.keys() == started.history[-1].keys()
    rows = [json.loads(row) for row in (released_run() / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == content["history"]
    assert train_seconds(released_run()) > 0


def test_stages_read_what_the_others_left(earlier: Path, expected: dict[str, Any]) -> None:
    """Each as after a `dvc repro` of before: its inputs are files that this release has not written."""
    settings = load_settings()
    figures, errors = load(paths.METRICS), load(paths.ERRORS)
    evaluate.run(settings)
    assert load(paths.METRICS) == pytest.approx(figures, abs=1e-4) and load(paths.ERRORS).keys() == errors.keys()
    register.run(settings)
    registration = load(paths.REGISTRATION)
    assert (registration["version"], registration["alias"]) == ("2", "challenger")
    report.run(settings)
    assert expected["name"] in paths.REPORT.read_text(encoding="utf-8")
