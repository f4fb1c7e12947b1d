"""Two Ray workers and one worker: the same batches, so with batch norm frozen the same losses and figures."""

from pathlib import Path

import pytest

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.config.settings import load_settings
from pipeline.data.coco.coco import read_coco
from pipeline.training.driver import plan
from tests.integration.project import PARAMS, Project
from yolox_core.config import DetectorSpec, Recipe
from yolox_core.training.engine import EpochReport, TrainingJob, train

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]

FROZEN = {
    **PARAMS,
    "train": {**PARAMS["train"], "epochs": 2, "warmup_epochs": 0, "freeze_batch_norm": True, "learning_rate": 0.001},
}


def test_two_workers_compute_what_one_does(prepared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = prepared.copy(tmp_path / "project")
    project.set_params(FROZEN)
    code, lines = project.stage("train", YOLOX_WORKERS="2")
    assert code == 0, "\n".join(lines[-40:])

    monkeypatch.chdir(project.root)
    config = plan(load_settings(), ComputeConfig(workers=1))
    assert Path(config.run) == project.run, "how many workers there are is no part of what a run is"
    job = TrainingJob(
        recipe=Recipe.from_dict(config.recipe),
        spec=DetectorSpec.from_dict(config.spec),
        training=read_coco(Path(config.training), Path(config.images)),
        validation=read_coco(Path(config.validation), Path(config.images)),
        threads=config.threads,
    )
    alone = [report.row for report in train(job) if isinstance(report, EpochReport)]
    together = project.history()
    assert [row.keys() for row in together] == [row.keys() for row in alone]
    for two, one in zip(together, alone, strict=True):
        assert {name: two[name] for name in two} == pytest.approx({name: one[name] for name in one}, rel=1e-4, abs=1e-6)
