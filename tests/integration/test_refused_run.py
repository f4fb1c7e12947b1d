"""What the cluster or a worker refuses comes back as one line, with code 2 and nothing half-written."""

import json
from pathlib import Path

import pytest

from tests.integration.project import Project

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]


def assert_refused(code: int, lines: list[str], words: str) -> None:
    """It ended with code 2, and its one line holds these words."""
    assert code == 2, "\n".join(lines[-40:])
    assert lines[-1].startswith("error: ") and words in lines[-1], "\n".join(lines[-40:])
    assert not [line for line in lines if "Traceback" in line]
    assert len([line for line in lines if line.startswith("error: ")]) == 1


def test_a_ray_address_that_does_not_answer(prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    code, lines = project.stage("train", RAY_ADDRESS="127.0.0.1:9")
    assert_refused(code, lines, "RAY_ADDRESS=127.0.0.1:9: no Ray cluster answers")
    assert not (project.root / "models").exists()


@pytest.mark.parametrize(("kept", "words"), [(3, "unreadable image"), (0, "not on this node")])
def test_what_a_worker_refuses_comes_back_as_its_line(prepared: Project, tmp_path: Path, kept: int, words: str) -> None:
    """Two workers: neither waits for the other. Before the first step three of the images are looked at."""
    project = prepared.copy(tmp_path / "project")
    names = sorted(json.loads((project.root / "data/prepared/manifest.json").read_text(encoding="utf-8"))["files"])
    looked_at = (names[0], names[len(names) // 2], names[-1])[:kept]
    for name in set(names) - set(looked_at):
        (project.root / "data/raw/images" / name).unlink()
    code, lines = project.stage("train", YOLOX_WORKERS="2")
    assert_refused(code, lines, words)
    assert not (project.root / "models").exists() and not (project.root / "reports/training.json").exists()
