"""Workers of a real Ray cluster take their images from an S3 store (moto's server); the folder itself is gone."""

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.project import Project
from tests.integration.test_refused_run import assert_refused
from tests.servers import s3_server

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]


def names(project: Project, split: str) -> set[str]:
    told = json.loads((project.root / f"data/prepared/{split}.json").read_text(encoding="utf-8"))
    return {image["file_name"] for image in told["images"]}


def test_an_epoch_from_s3_and_the_image_that_is_missing(prepared: Project, tmp_path: Path) -> None:
    """The epoch finds what it needs; the evaluation after it wants an image that was never copied there."""
    project = prepared.copy(tmp_path / "project")
    gone = min(names(project, "val"))
    with s3_server(tmp_path) as server:
        (project.root / "data/raw/images" / gone).unlink()
        server.take("bucket", project.root / "data/raw/images", "images")
        shutil.rmtree(project.root / "data/raw/images")
        there = {"YOLOX_IMAGES": "s3://bucket/images", "YOLOX_CACHE": str(tmp_path / "cache")}
        code, lines = project.stage("train", **there, **server.environment)
    assert_refused(code, lines, f"s3://bucket/images/{gone} at {server.url}, read on ")
    assert "expected an image, got none (" in lines[-1]
    fetched = json.loads((project.root / "data/prepared/manifest.json").read_text(encoding="utf-8"))["files"]
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {fetched[name] for name in names(project, "train")} <= kept
    assert not (project.root / "models").exists()
