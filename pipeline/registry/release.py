"""The files that the stages before `register` wrote, gathered as one release to register.

Each file is read with a check of its shape, and a damaged or missing one names the stage that writes it. register.py
sends the release to MLflow.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.git_state import project_state
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.data.coco.coco import read_coco
from pipeline.registry.evidence import Evidence, HeldOut
from pipeline.registry.model_reference import origin_tags
from pipeline.registry.register import DataSource, Release
from pipeline.registry.run_log import RunSpec
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError
from yolox_core.export.model_cost import size_of

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
SPEC = paths.RELEASED / "model.json"
# who writes what this file reads
STAGES = {
    SPEC: "export",
    paths.DETECTIONS: "evaluate",
    paths.TRAINING: "train",
    paths.METRICS: "evaluate",
    paths.MANIFEST: "prepare",
    paths.REGISTRATION: "register",
}


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
        cost=size_of(DetectorSpec.from_dict(read_report(SPEC), str(SPEC))),
        data=DataSource(settings.registered_name.removeprefix("yolox-"), settings.data.shown, digest),
        tags=tags | {"run.name": run_name},
        files=FILES,
    )


def _evidence(manifest: dict[str, Any]) -> Evidence:
    """The test images by their content, and what evaluate found on them."""
    records = read_coco(paths.prepared("test"), paths.RAW_IMAGES)
    content = {record.file_name: manifest["files"][record.file_name] for record in records.images}
    return Evidence(HeldOut(records, content), _read(paths.DETECTIONS, list))


def read_report(path: Path, *texts: str) -> dict[str, Any]:
    """A JSON report of an earlier stage, with `texts` among its entries; InputError says which stage is to run."""
    content: dict[str, Any] = _read(path, dict, *texts)
    return content


def _read(path: Path, kind: type[Any], *texts: str) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise TypeError(f"{type(content).__name__} instead of {kind.__name__}")
        absent = [name for name in texts if not isinstance(content.get(name), str)]
        if absent:
            raise TypeError(f"no text under {', '.join(absent)}")
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file. Run the stages before this one: `dvc repro`.") from missing
    except (ValueError, TypeError, RecursionError) as broken:
        stage = STAGES[path]
        reason = f"{broken}"[:100]
        raise InputError(f"{path}: damaged ({reason}). Run stage {stage} again: `dvc repro {stage}`.") from broken
    return content
