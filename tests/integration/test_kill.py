"""`kill -9` of the driver twice, then of a Ray worker: training goes on, and ends with an undisturbed run's bits."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Finished
from tests.integration.project import PARAMS, YOLOX, Family, Project, finish
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]

LOADERS = {"YOLOX_LOADER_WORKERS": "2"}
START_WITHIN_S = 300.0
WITHIN_S = 1.0  # about an epoch


def wait_for(family: Family, holds: Callable[[], object]) -> None:
    """Until it holds, or the command has ended too early."""

    def ready() -> object:
        assert family.head.is_running() and family.head.status() != psutil.STATUS_ZOMBIE, "it ended too early"
        family.look()
        return holds()

    until(ready, START_WITHIN_S)


def after_an_epoch_more(project: Project, family: Family) -> int:
    """At a random step past the next checkpoint; the epochs that were safe when the command's worker began."""
    wait_for(family, lambda: family.named("ray::RayTrainWorker"))
    so_far = project.checkpoints_written()
    assert so_far < PARAMS["train"]["epochs"] - 1, "an earlier run got too far for this test: lengthen its epochs"
    wait_for(family, lambda: project.checkpoints_written() > so_far)
    delay_s = random.uniform(0, WITHIN_S)
    print(f"killed {delay_s:.3f} s after a checkpoint past epoch {so_far}")
    time.sleep(delay_s)
    return so_far


def test_killed_training_ends_with_the_same_bits(finished: Finished, prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    families: list[Family] = []

    # the driver, twice; each time `dvc repro` at once, while the dead driver's workers may still be about
    for _ in range(2):
        with Family(project.start("dvc", "repro", "train", **LOADERS)) as killed:
            families.append(killed)
            after_an_epoch_more(project, killed)
            (driver,) = killed.named("python", *YOLOX, "train")
            driver.kill()
            printed = finish(killed.command)
        assert "exited with -9" in printed or "exited with 137" in printed, printed[-6000:]
        assert not (project.root / "models/trained").exists()

    # then its worker, which is replaced
    with Family(project.start("dvc", "repro", "train", **LOADERS)) as resumed:
        families.append(resumed)
        so_far = after_an_epoch_more(project, resumed)
        (worker,) = resumed.named("ray::RayTrainWorker")
        worker.kill()
        with resumed.watched():
            printed = finish(resumed.command)
        assert resumed.command.returncode == 0, printed[-6000:]
        assert f"resuming after epoch {so_far - 1}" in printed and printed.count("resuming after epoch") == 2, printed

    assert project.result() == finished.project.result()
    assert not [left for family in families for left in family.survivors()]
