"""What the cluster or a worker refuses comes back as one line, with code 2 and nothing half-written."""

from pathlib import Path

import pytest

from tests.integration.project import Project

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_ray_address_that_does_not_answer(prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    done = project.stage("train", RAY_ADDRESS="127.0.0.1:9")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "error: " in line] == done.stderr.splitlines()[-1:]
    assert done.stderr.splitlines()[-1].startswith("error: RAY_ADDRESS=127.0.0.1:9: no Ray cluster answers")
    assert "Traceback" not in done.stderr and not (project.root / "models").exists()


def test_what_a_worker_refuses_comes_back_as_its_line(prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    for image in (project.root / "data/raw/images").iterdir():
        image.unlink()
    done = project.stage("train", YOLOX_WORKERS="2")
    assert done.returncode == 2, done.stderr[-4000:]
    assert done.stderr.splitlines()[-1].startswith("error: ") and "unreadable image" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (project.root / "models").exists() and not (project.root / "reports/training.json").exists()
