"""DVC stage `train`: a training run through Ray Train, resumed where it was interrupted, and its released model.

The run lives in runs/<name>-<hash>, outside DVC's outputs; only what is released is copied out at the end. A run that
is already complete is only released again.
"""

import dataclasses
import shutil
from pathlib import Path

from pipeline.cluster.ray_cluster import ComputeConfig, check_address
from pipeline.cluster.ray_job import Submission, submit
from pipeline.config.settings import Settings
from pipeline.registry.model_reference import initial_weights
from pipeline.stages.entrypoint import stage_main
from pipeline.training.checkpoint_sync import CheckpointSync
from pipeline.training.driver import is_complete, plan, release_run, train_run
from pipeline.training.run_lock import run_lock
from yolox_core.config import Recipe
from yolox_core.errors import InputError


def run(
    settings: Settings, compute: ComputeConfig | None = None, fresh: bool = False, submission: Submission | None = None
) -> None:
    """Train and release: on this machine, on a cluster that is joined, or as a job on one that is submitted to.

    `fresh` throws away what an earlier, equal run has left.
    """
    compute = compute or ComputeConfig.from_environment()
    submission = submission or Submission.from_environment()
    config = plan(settings, compute)
    folder = Path(config.run)
    sync = CheckpointSync(config.checkpoints, folder / "checkpoints") if config.checkpoints else None
    if sync and not fresh:
        sync.download()
    if fresh or not is_complete(folder, Recipe.from_dict(config.recipe)):
        config = dataclasses.replace(
            config, initial=initial_weights(settings.model.weights, Recipe.from_dict(config.recipe).model)
        )
        if submission is None:
            check_address(compute)
        if fresh and folder.exists():
            with run_lock(folder):
                shutil.rmtree(folder)
        if fresh and sync:
            sync.clear()
        if submission is None:
            train_run(settings, config, compute)
        else:
            submit(submission, folder.name)
        if sync:
            sync.download()
            if not is_complete(folder, Recipe.from_dict(config.recipe)):
                raise InputError(
                    f"{config.checkpoints}: the run's last checkpoint has not arrived there. Run again: it goes on "
                    "from the newest that has."
                )
    release_run(folder)


if __name__ == "__main__":
    stage_main(run)
