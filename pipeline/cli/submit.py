"""`yolox submit`: a training as a job on a Ray cluster, and what follows it there or at home."""

import os
from pathlib import Path

from pipeline.cluster.ray_job import Submission
from pipeline.cluster.store import VARIABLE
from pipeline.config.settings import Settings
from pipeline.training.driver import train
from pipeline.training.order import AFTER_TRAINING
from yolox_core.errors import InputError


def submit(settings: Settings, address: str | None, workspace: Path | None, stage: str) -> None:
    """Train there. InputError where the stage is none that can be submitted, or there is no store for its results."""
    if stage not in ("train", "all"):
        raise InputError(f"--stage {stage}: expected train or all.")
    if stage == "all" and not os.environ.get(VARIABLE):
        raise InputError(f"--stage all: expected {VARIABLE}, through which the results come home, got none. Set it.")
    stages = AFTER_TRAINING if stage == "all" else ()
    train(settings, submission=submission(address, workspace, stages))


def submission(address: str | None, workspace: Path | None = None, stages: tuple[str, ...] = ()) -> Submission:
    """To the cluster at the address, or at YOLOX_SUBMIT. InputError where there is none."""
    address = address or os.environ.get("YOLOX_SUBMIT")
    if not address:
        raise InputError("--address: expected the cluster's dashboard, http://host:8265, or YOLOX_SUBMIT; got neither.")
    return Submission(address, workspace or Path.cwd(), stages)
