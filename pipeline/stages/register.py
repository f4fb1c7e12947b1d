"""DVC stage `register`: register the run, its metrics and the model in MLflow.

An MLflow that does not answer stops only this stage: everything before it is done and kept.
"""

import dataclasses

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.config.stage_params import check_recorded_params
from pipeline.registry.register import register
from pipeline.registry.release import release
from pipeline.stages.entrypoint import stage_main
from yolox_core.atomic_files import write_json


def run(settings: Settings) -> None:
    """Register models/released under the settings' name."""
    check_recorded_params()
    registration = register(release(settings))
    write_json(paths.REGISTRATION, dataclasses.asdict(registration))
    print(f"{registration.name} version {registration.version} is {registration.alias} at {registration.tracking_uri}")


if __name__ == "__main__":
    stage_main(run)
