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
# who writes what this file reads
STAGES = {
    paths.TRAINING: "train",
    paths.METRICS: "evaluate",
    paths.MANIFEST: "prepare",
    paths.REGISTRATION: "register",
}


def run(settings: Settings) -> None:
    """Register models/released under the settings' name."""
    registration = register(release(settings))
    write_json(paths.REGISTRATION, dataclasses.asdict(registration))
    print(f"{registration.name} version {registration.version} is {registration.alias} at {registration.tracking_uri}")


def release(settings: Settings) -> Release:
    """What the stages before this one left, as one thing to register."""
    metrics = read_report(paths.METRICS)
    run_name = str(read_report(paths.TRAINING, "run")["run"])
    digest = str(read_report(paths.MANIFEST, "data_digest")["data_digest"])
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
    state = project_state()
    return Release(
        folder=paths.RELEASED,
        name=settings.registered_name,
        run=RunSpec(
            run_dir=paths.RUNS / run_name,
            experiment=settings.registered_name,
            run_name=run_name,
            params=yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8")) or {},
            tags=state.tags() | {"data.digest": digest},
            history_csv=paths.HISTORY,
        ),
        test_metrics=numbers,
        data=DataSource(settings.registered_name.removeprefix("yolox-"), settings.data.source, digest),
        tags=state.tags() | {"data.digest": digest, "run.name": run_name},
        files=FILES,
    )


def read_report(path: Path, *texts: str) -> dict[str, Any]:
    """A JSON report of an earlier stage, with `texts` among its entries; InputError says which stage is to run."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{type(content).__name__} instead of an object")
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


if __name__ == "__main__":
    stage_main(run)
