"""README's second command with few epochs: COCO weights by name, from a server that speaks as the public one does."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.config import paths
from pipeline.registry.published_weights import FOLDER, SERVER
from tests.integration.project import YOLOX, Family, Project, finish
from tests.integration.test_repro import ran
from tests.needs import ROOT, coco_nano
from tests.pipeline.data import folders
from tests.release_server import serving

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

BOXES = [("cat", 8, 8, 40, 40), ("dog", 44, 10, 76, 50)]
TRAIN = {"epochs": 2, "closing_epochs": 1, "warmup_epochs": 0, "input_size": 64, "batch_size": 4, "threads": 1}
SHORT = (*(f"train.{key}={value}" for key, value in TRAIN.items()), "export.max_difference=50", "export.max_map_loss=1")


def repro(project: Project, *words: str, **environment: str) -> str:
    command = (*YOLOX, "repro", *words, *SHORT)
    with Family(project.start(*command, **environment)) as family, family.watched():
        printed = finish(family.command)
    assert family.command.returncode == 0, printed[-6000:]
    return printed


def test_few_images_from_a_fresh_project(tmp_path: Path) -> None:
    weights = coco_nano().read_bytes()
    images = folders.voc(tmp_path / "images", {f"image{number}": BOXES for number in range(12)})
    project = Project.make(tmp_path / "mine", yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    chosen = ("--data", str(images), "--preset", "few-images")
    with serving({"yolox_nano.pth": weights}) as release:
        release.cut_after = len(weights) // 2 + 1
        server = {SERVER: release.address, FOLDER: str(tmp_path / "weights"), "NO_PROXY": "127.0.0.1,localhost"}
        printed = repro(project, *chosen, **server)
        assert len(release.asked) == 2 and "Apache-2.0, Megvii" in printed
        assert ran(repro(project, *chosen, **server)) == ["fingerprint"]
        assert len(release.asked) == 2

    training = json.loads((project.root / paths.TRAINING).read_text(encoding="utf-8"))
    started = training["started_from"]
    assert started["reference"] == "coco" and started["published"] == "YOLOX-nano, COCO (Apache-2.0, Megvii)"
    # the same file by its path is the same run
    (tmp_path / "any name.pth").write_bytes(weights)
    (project.root / paths.TRAINING).unlink()
    repro(project, *chosen, f"model.weights='{tmp_path}/any name.pth'")
    again = json.loads((project.root / paths.TRAINING).read_text(encoding="utf-8"))
    assert (again["run"], again["weights_sha256"]) == (training["run"], training["weights_sha256"])
