"""What MLflow shows of a registered model, read back with nothing but MLflow."""

import dataclasses
import json
from pathlib import Path

from mlflow.entities import LoggedModel

from pipeline.registry.logged_model import OURS
from pipeline.registry.register import Release, register
from pipeline.registry.store import connect, tracking_uri
from tests.pipeline.registry.test_register import a_release

NAME = "yolox-detector"
TEST = {"map": 0.75, "map_50": 0.9, "class/a b/map": 0.5}
FORMS = {"onnx": {"map": 0.625, "ms_one_thread": 3.5}}


def full(project: Path) -> Release:
    release = a_release(project, seed=1)
    data = dataclasses.replace(release.data, images=8, objects=21)
    release = dataclasses.replace(release, test_metrics=TEST, forms=FORMS)
    return dataclasses.replace(release, params={"train.epochs": 20, "train.clip_norm": None}, data=data)


def found(wanted: str) -> list[LoggedModel]:
    client = connect(tracking_uri())
    return list(client.search_logged_models([client.get_experiment_by_name(NAME).experiment_id], wanted))


def test_a_model_is_found_by_its_figures(project: Path) -> None:
    done = register(full(project))
    (model,) = found("metrics.map > 0.7")
    assert not found("metrics.map > 0.8")
    assert model.params == {"train.epochs": "20", "train.clip_norm": "None"}
    figures = {(metric.key, metric.value) for metric in model.metrics}
    forms = {("onnx/map", 0.625), ("onnx/ms_one_thread", 3.5)}
    assert figures == {("map", 0.75), ("map_50", 0.9), ("class/a b/map", 0.5), *forms}
    assert {metric.dataset_name for metric in model.metrics} == {"detector-test"}
    run = connect(tracking_uri()).get_run(done.run_id)
    names = {entry.dataset.name: json.loads(entry.dataset.profile) for entry in run.inputs.dataset_inputs}
    assert names == {"detector": {"images": 8, "objects": 21}, "detector-test": {"images": 0, "objects": 0}}
    assert "map" not in run.data.metrics, "the training's own series has no second value"


def test_registering_again_adds_what_is_missing_and_doubles_nothing(project: Path) -> None:
    """As for a version that an earlier release has registered."""
    release = full(project)
    before = register(dataclasses.replace(release, forms={}, params={}))
    for _ in range(2):
        assert register(release) == before
    client = connect(tracking_uri())
    experiment = client.get_experiment_by_name(NAME).experiment_id
    (test,) = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{before.run_id}'")
    assert (test.info.run_name, test.info.status) == ("test", "FINISHED")
    assert all(len(client.get_metric_history(test.info.run_id, name)) == 1 for name in ("map", "onnx/map"))
    register(dataclasses.replace(release, test_metrics={"map": 0.8}))
    assert found("metrics.map > 0.78")


def test_the_card_says_what_it_is_and_leaves_a_persons_text_alone(project: Path) -> None:
    release = full(project)
    done = register(release)
    client = connect(tracking_uri())
    card = client.get_model_version(NAME, done.version).description
    assert card.startswith(OURS)
    assert client.get_registered_model(NAME).description == card
    for part in ("2 classes: cat, dog", "8 images with 21 objects", "map 0.750", f"models:/{NAME}/{done.version}"):
        assert part in card
    client.update_model_version(NAME, done.version, "Do not use on Sundays.")
    register(release)
    assert client.get_model_version(NAME, done.version).description == "Do not use on Sundays."
