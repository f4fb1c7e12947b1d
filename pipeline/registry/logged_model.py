"""What MLflow shows of a registered model: its parameters, figures by form and data set, and a card.

Figures stand in a run of their own below the training's, under COCO's names: `search_logged_models` finds a model by
`metrics.map > 0.5`, and no epoch of the training gets a second value. Those of an exported form begin with its name
(`onnx/map`): of several values under one name MLflow's search takes the newest. Doing it again adds what is missing and
replaces figures that changed.
"""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.registry.evidence import HeldOut
from pipeline.registry.release_record import DataSource, Release
from pipeline.registry.resolve import PREFIX
from pipeline.registry.run_history import metric_name
from yolox_core.model.description import read_spec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, Run
    from mlflow.entities.model_registry import ModelVersion

PARENT, CONTEXT, MODEL = "mlflow.parentRunId", "mlflow.data.context", "model.id"
RUN_NAME = "test"
DIGEST_LENGTH = 36  # characters that MLflow keeps: a DVC directory's md5 fits whole
OURS = "<!-- written by the register stage; remove this line to keep your own text -->"


def inputs(release: Release) -> "list[DatasetInput]":
    """The training and the test images, as inputs of the training's run."""
    data, held_out = release.data, release.evidence.held_out
    training = _dataset(data.name, data.digest, data.source, {"images": data.images, "objects": data.objects})
    return [_used(training, "training"), _used(_test_set(data, held_out), "test")]


def describe(client: "MlflowClient", run_id: str, version: "ModelVersion", release: Release) -> None:
    """Parameters and figures of the version's logged model."""
    model_id = str(version.source).removeprefix(PREFIX)  # the registry's own tables keep no id
    known = client.get_logged_model(model_id).params
    missing = {name: str(value) for name, value in release.params.items() if name not in known}
    if missing:
        client.log_model_params(model_id, missing)
    figures = dict(release.test_metrics)
    for form, of_form in release.forms.items():
        figures |= {f"{form}/{name}": value for name, value in of_form.items()}
    _log_figures(client, run_id, model_id, release, figures)


def write_card(client: "MlflowClient", release: Release, version: str, tags: Mapping[str, str]) -> None:
    """The version's description, and the registered model's, unless someone has written one there."""
    card = f"{OURS}\n{model_card(release, version, tags)}"
    if _is_ours(client.get_model_version(release.name, version).description):
        client.update_model_version(release.name, version, card)
    if _is_ours(client.get_registered_model(release.name).description):
        client.update_registered_model(release.name, card)


def model_card(release: Release, version: str, tags: Mapping[str, str]) -> str:
    """What the model is, what it was made from, what it reaches and how to call it; Markdown."""
    spec, data, test = read_spec(release.folder), release.data, release.evidence.held_out.records.images
    height, width = spec.input_size
    shown = {name: release.test_metrics[name] for name in ("map", "map_50", "map_75") if name in release.test_metrics}
    started = tags.get("initial.published") or tags.get("initial.weights") or "random weights"
    published = " (Apache-2.0, Megvii)" if "initial.published" in tags else ""
    return f"""\
YOLOX detector of {len(spec.class_names)} classes: {", ".join(spec.class_names)}.

- **Data**: {data.name}, {data.images} images with {data.objects} objects to train on, {len(test)} to test on.
- **Starting weights**: {started}{published}.
- **Test figures** (COCO): {", ".join(f"{name} {value:.3f}" for name, value in shown.items())}.
- **Size**: {release.cost.get("parameters", 0) / 1e6:.2f} million parameters, input {width} × {height} px.
- **Limits**: it knows these classes alone, and was measured on images of the same source as those it was trained on.
  A data set's license is its owner's.

```python
import mlflow, pandas
model = mlflow.pyfunc.load_model("{PREFIX}{release.name}/{version}")
model.predict(pandas.DataFrame({{"image": [open("photo.jpg", "rb").read()]}}))
```
"""


def _log_figures(
    client: "MlflowClient", run_id: str, model_id: str, release: Release, figures: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric

    run = _test_run(client, run_id, model_id)
    dataset = _test_set(release.data, release.evidence.held_out)
    client.log_inputs(run.info.run_id, [_used(dataset, "test")])
    now_ms = int(time.time() * 1000)
    legal = {metric_name(name): value for name, value in figures.items()}
    changed = {name: value for name, value in legal.items() if run.data.metrics.get(name) != value}
    where = {"model_id": model_id, "dataset_name": dataset.name, "dataset_digest": dataset.digest}
    metrics = [Metric(name, value, now_ms, 0, **where) for name, value in changed.items()]
    client.log_batch(run.info.run_id, metrics=metrics)
    client.set_terminated(run.info.run_id, "FINISHED")


def _test_run(client: "MlflowClient", run_id: str, model_id: str) -> "Run":
    """The run that holds the model's figures; a new one where there is none."""
    experiment_id = client.get_run(run_id).info.experiment_id
    tags = {PARENT: run_id, MODEL: model_id}
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = client.search_runs([experiment_id], wanted, max_results=1)
    return found[0] if found else client.create_run(experiment_id, tags=tags, run_name=RUN_NAME)


def _test_set(data: DataSource, held_out: HeldOut) -> "Dataset":
    images = held_out.records.images
    counts = {"images": len(images), "objects": sum(len(image.objects) for image in images)}
    return _dataset(f"{data.name}-test", held_out.digest, data.source, counts)


def _dataset(name: str, digest: str, source: str, profile: Mapping[str, Any]) -> "Dataset":
    from mlflow.entities import Dataset

    columns = [
        {"type": "binary", "name": "image", "required": True},
        {"type": "string", "name": "objects (COCO)", "required": True},
    ]
    where, schema = json.dumps({"uri": source}), json.dumps({"mlflow_colspec": columns})
    return Dataset(name, digest[:DIGEST_LENGTH], "local", where, schema, json.dumps(dict(profile)))


def _used(dataset: "Dataset", context: str) -> "DatasetInput":
    from mlflow.entities import DatasetInput, InputTag

    return DatasetInput(dataset, [InputTag(CONTEXT, context)])


def _is_ours(description: str | None) -> bool:
    return not description or description.startswith(OURS)
