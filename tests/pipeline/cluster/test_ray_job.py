"""Before a job is submitted: the address, the cluster's answer, and what would be sent."""

from pathlib import Path

import pytest

from pipeline.cluster import ray_job as module
from pipeline.cluster.ray_job import Submission, _package, submit
from yolox_core.errors import InputError


def test_an_address_that_is_no_dashboard_is_refused() -> None:
    with pytest.raises(InputError, match="expected the cluster's dashboard, http://host:8265"):
        Submission("127.0.0.1:6379", Path("/shared"))


def test_the_environment_may_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YOLOX_SUBMIT", raising=False)
    assert Submission.from_environment() is None
    monkeypatch.setenv("YOLOX_SUBMIT", "http://head:8265")
    assert Submission.from_environment() == Submission("http://head:8265", Path.cwd())
    monkeypatch.setenv("YOLOX_WORKSPACE", "/shared/project")
    assert Submission.from_environment() == Submission("http://head:8265", Path("/shared/project"))


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(InputError, match=r"--address http://127\.0\.0\.1:9: no Ray cluster answers"):
        submit(Submission("http://127.0.0.1:9", Path("/shared")), "run")


def test_code_alone_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with _package() as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["pipeline", "yolox_core"]
        assert (folder / "pipeline" / "stages" / "train.py").is_file()
        assert not list(folder.rglob("__pycache__"))
    assert not folder.exists()
    monkeypatch.setattr(module, "LARGEST_PACKAGE", 1000)
    with pytest.raises(InputError, match="the largest file is"), _package():
        pass
