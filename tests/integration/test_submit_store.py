"""`yolox submit` through a store alone: the job's folder is another, and nothing of the project's is looked at."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.integration.nodes import Nodes
from tests.integration.project import PARAMS, Family, Project, finish
from tests.servers import mlflow_server, s3_server

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1500)]

SHORT = {**PARAMS, "train": {**PARAMS["train"], "epochs": 3}, "export": {"max_map_loss": 1, "max_difference": 50}}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_whole_pipeline_runs_there_and_comes_home(nodes: Nodes, prepared: Project, tmp_path: Path) -> None:
    """The images go by DVC, and are gone from the project's folder when the job runs."""
    project, alone = prepared.copy(tmp_path / "project"), prepared.copy(tmp_path / "alone")
    for each in (project, alone):
        each.set_params(SHORT)
    with s3_server(tmp_path) as s3, mlflow_server(tmp_path) as mlflow:
        s3.client().create_bucket(Bucket="bucket")
        there = nodes.environment | s3.environment | {"YOLOX_STORE": "s3://bucket/yolox", "YOLOX_WORKERS": "2"}
        there |= {"YOLOX_CACHE": str(tmp_path / "cache"), "MLFLOW_TRACKING_URI": mlflow.url, "YOLOX_THREADS": "1"}
        address = f"http://127.0.0.1:{nodes.dashboard}"
        words = ("yolox", "submit", "--address", address, "--workspace", "/nowhere", "--stage", "all")
        with Family(project.start(*words, **there)) as family:
            printed = finish(family.command)
        assert family.command.returncode == 0, printed[-6000:]
        assert "RayTrainWorker" not in printed and "Traceback" not in printed, printed[-6000:]
        registered = json.loads((project.root / "reports/registration.json").read_text(encoding="utf-8"))
        assert registered["version"] == "1" and registered["tracking_uri"] == mlflow.url
        assert len(project.history()) == 3
        for name in (
            "reports/metrics.json",
            "reports/export.json",
            "reports/history.csv",
            "models/released/model.onnx",
        ):
            assert (project.root / name).is_file(), name
        pushed = [entry["Key"] for entry in s3.client().list_objects_v2(Bucket="bucket")["Contents"]]
        listed = {
            image["file_name"]
            for split in ("train", "val", "test")
            for image in json.loads((project.root / f"data/prepared/{split}.json").read_text())["images"]
        }
        assert len([key for key in pushed if key.startswith("yolox/dvc/files/md5/")]) == len(listed)
        assert "config.local" in (project.root / ".dvc/.gitignore").read_text()
        shutil.rmtree(tmp_path / "cache")
    code, lines = alone.stage("train", YOLOX_WORKERS="2", YOLOX_THREADS="1")
    assert code == 0, "\n".join(lines[-40:])
    weights = "models/trained/model.safetensors"
    assert sha256(project.root / weights) == sha256(alone.root / weights)
