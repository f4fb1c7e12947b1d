"""`kill -9` of the driver, then of a Ray worker: training goes on, and ends with the bits of an undisturbed run."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Finished
from tests.integration.project import PARAMS, Family, Project, finish, until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500)]

LOADERS = {"YOLOX_LOADER_WORKERS": "2"}
START_WITHIN_S = 300.0


def wait_for(family: Family, holds: Callable[[], object]) -> None:
    """Until it holds, or the command has ended too early."""

    def ready() -> object:
        assert family.head.is_running() and family.head.status() != psutil.STATUS_ZOMBIE, "it ended too early"
        family.look()
        return holds()

    until(ready, START_WITHIN_S)


def test_killed_training_ends_with_the_same_bits(finished: Finished, prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")

    # the driver, in the middle of the third epoch
    with Family(project.start("dvc", "repro", "train", **LOADERS)) as killed:
        wait_for(killed, lambda: project.checkpoints_written() >= 2)
        (driver,) = killed.named("python", "-m", "pipeline.stages.train")
        driver.kill()
        assert "exited with -9" in finish(killed.command)
        assert not (project.root / "models/trained").exists()

    # `dvc repro` at once, while the dead driver's workers may still be about; then its worker, an epoch on
    with Family(project.start("dvc", "repro", "train", **LOADERS)) as resumed:
        wait_for(resumed, lambda: resumed.named("ray::RayTrainWorker"))
        so_far = project.checkpoints_written()
        assert 2 <= so_far < PARAMS["train"]["epochs"] - 1, (
            "the first run got too far for this test: lengthen its epochs"
        )
        wait_for(resumed, lambda: project.checkpoints_written() > so_far)
        (worker,) = resumed.named("ray::RayTrainWorker")
        worker.kill()
        with resumed.watched():
            printed = finish(resumed.command)
        assert resumed.command.returncode == 0, printed[-6000:]
        assert f"going on after epoch {so_far - 1}" in printed and printed.count("going on after epoch") == 2, printed

    assert project.result() == finished.project.result()
    assert not killed.survivors() and not resumed.survivors()
