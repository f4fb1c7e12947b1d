"""The files that the stages before `register` wrote, gathered as one release; register.py sends it to MLflow."""

from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.flattening import flattened
from pipeline.config.git_state import project_state
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.config.stage_reports import read_cost, read_list, read_report
from pipeline.data.coco.coco import read_coco
from pipeline.registry.evidence import Evidence, HeldOut
from pipeline.registry.model_reference import origin_tags
from pipeline.registry.register import DataSource, Release
from pipeline.registry.run_log import RunSpec
from yolox_core.model.description import read_spec

FILES = (
    Path("dvc.lock"),
    paths.PARAMS,
    paths.VALIDATION,
    paths.TRAINING,
    paths.METRICS,
    paths.PER_CLASS,
    paths.PRECISION_RECALL,
    paths.THRESHOLD,
    paths.CONFUSION,
    paths.ERRORS,
    paths.EXPORT,
)


def release(settings: Settings) -> Release:
    """What the stages before this one left, as one thing to register."""
    metrics = read_report(paths.METRICS)
    training, manifest = read_report(paths.TRAINING, "run"), read_report(paths.MANIFEST, "data_digest")
    run_name, digest = str(training["run"]), str(manifest["data_digest"])
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
    tags = project_state().tags() | {"data.digest": digest} | origin_tags(training)
    return Release(
        folder=paths.RELEASED,
        name=settings.registered_name,
        run=RunSpec(
            run_dir=paths.RUNS / run_name,
            experiment=settings.registered_name,
            run_name=run_name,
            params=read_params(),
            tags=tags,
            history_csv=paths.HISTORY,
        ),
        test_metrics=numbers,
        evidence=_evidence(manifest),
        cost=read_cost(read_spec(paths.RELEASED)),
        data=_data_source(settings, digest),
        tags=tags | {"run.name": run_name},
        files=FILES,
        params=dict(flattened(settings.recipe(len(manifest["class_names"])).to_dict())),
        forms=_forms(),
    )


def _data_source(settings: Settings, digest: str) -> DataSource:
    images = read_coco(paths.prepared("train"), paths.RAW_IMAGES).images
    name, objects = settings.registered_name.removeprefix("yolox-"), sum(len(image.objects) for image in images)
    return DataSource(name, settings.data.shown, digest, len(images), objects)


def _forms() -> dict[str, dict[str, float]]:
    """What the export measured of each form; nothing where an earlier release has exported, or none."""
    forms = read_report(paths.EXPORT).get("forms", {}) if paths.EXPORT.is_file() else {}
    return {
        form: {name: float(value) for name, value in figures.items() if isinstance(value, (int, float))}
        for form, figures in forms.items()
    }


def _evidence(manifest: dict[str, Any]) -> Evidence:
    """The test images by their content, and what evaluate found on them."""
    records = read_coco(paths.prepared("test"), paths.RAW_IMAGES)
    content = {record.file_name: manifest["files"][record.file_name] for record in records.images}
    return Evidence(HeldOut(records, content), read_list(paths.DETECTIONS))
