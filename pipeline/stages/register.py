"""DVC stage `register`: the run, its figures and the released model into MLflow; reports/registration.json says where.

An MLflow that does not answer stops only this stage: everything before it is done and kept.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.git_state import project_state
from pipeline.settings import Settings
from pipeline.tracking.registry import DataSource, Release, register
from pipeline.tracking.run import RunSpec
from yolox_core.datasets.atomic import write_json
from yolox_core.errors import InputError

FILES = (
    Path("dvc.lock"),
    paths.PARAMS,
    paths.VALIDATION,
    paths.TRAINING,
    paths.METRICS,
    paths.PER_CLASS,
    paths.PRECISION_RECALL,
    paths.DETECTIONS,
    paths.EXPORT,
)


def run(settings: Settings) -> None:
    """Register models/released under the settings' name."""
    registration = register(release(settings))
    write_json(paths.REGISTRATION, dataclasses.asdict(registration))
    print(f"{registration.name} version {registration.version} is {registration.alias} at {registration.tracking_uri}")


def release(settings: Settings) -> Release:
    """What the stages before this one left, as one thing to register."""
    training, metrics, manifest = (read_report(path) for path in (paths.TRAINING, paths.METRICS, paths.MANIFEST))
    run_name, digest = str(training["run"]), str(manifest["data_digest"])
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
    state = project_state()
    return Release(
        folder=paths.RELEASED,
        name=settings.registered_name,
        run=RunSpec(
            run_dir=paths.RUNS / run_name,
            experiment=settings.registered_name,
            run_name=run_name,
            params=yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8")),
            tags=state.tags() | {"data.digest": digest},
            history_csv=paths.HISTORY,
        ),
        test_metrics=numbers,
        data=DataSource(settings.registered_name.removeprefix("yolox-"), settings.data.source, digest),
        tags=state.tags() | {"data.digest": digest, "run.name": run_name},
        files=FILES,
    )


def read_report(path: Path) -> dict[str, Any]:
    """A JSON report of an earlier stage; InputError says which stage is missing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file. Run the stages before this one: `dvc repro`.") from missing
    return dict(content)


if __name__ == "__main__":
    stage_main(run)
