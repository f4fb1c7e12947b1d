"""What clusters do to a run, done to one on purpose: nothing is lost by it."""

import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.integration.conftest import Finished
from tests.integration.nodes import Nodes
from tests.integration.project import PARAMS, YOLOX, Family, Project, finish
from tests.integration.test_kill import after_an_epoch_more
from tests.needs import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1500)]

RACCOON_EPOCHS = 8


def test_sigterm_saves_the_step_and_the_next_run_goes_on(finished: Finished, prepared: Project, tmp_path: Path) -> None:
    """On another disk: what it goes on from is at an address alone."""
    project = prepared.copy(tmp_path / "project")
    kept = {"YOLOX_STORE": f"file://{tmp_path / 'kept'}"}
    with Family(project.start(*YOLOX, "train", **kept)) as family:
        after_an_epoch_more(project, family)
        family.head.terminate()
        with family.watched():
            printed = finish(family.command)
    assert family.command.returncode == 128 + signal.SIGTERM, printed[-6000:]
    assert "train: interrupted, saved (epoch " in printed and "Traceback" not in printed, printed[-6000:]
    assert not (project.root / "models/trained").exists()
    shutil.rmtree(project.root / "runs")
    printed = project.repro("train", **kept)
    assert "resuming after epoch" in printed, printed[-6000:]
    assert project.result() == finished.project.result()
    assert not family.survivors()


def test_a_worker_that_hangs_is_found_and_replaced(finished: Finished, prepared: Project, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    with Family(project.start("dvc", "repro", "train", YOLOX_HANG_S="15")) as family:
        after_an_epoch_more(project, family)
        (worker,) = family.named("ray::RayTrainWorker")
        worker.suspend()  # SIGSTOP: it answers nothing, and Ray does not miss it
        with family.watched():
            printed = finish(family.command)
    assert family.command.returncode == 0, printed[-6000:]
    assert f"worker 0 (process {worker.pid}) hangs: no step for" in printed, printed[-6000:]
    assert project.result() == finished.project.result()


@pytest.fixture
def photographs(prepared: Project, tmp_path: Path) -> Project:
    """A project on real photographs where they are at hand, on rendered scenes elsewhere; not trained yet."""
    raccoon = ROOT.parent / "shared" / "datasets" / "raccoon"
    if not raccoon.is_dir():
        return prepared
    train = PARAMS["train"] | {"epochs": RACCOON_EPOCHS, "batch_size": 8, "micro_batch_size": 4}
    project = Project.make(
        tmp_path / "raccoon", PARAMS | {"data": PARAMS["data"] | {"source": str(raccoon)}, "train": train}
    )
    project.repro("prepare")
    return project


def test_a_node_that_is_lost_costs_one_epoch_at_most(nodes: Nodes, photographs: Project, tmp_path: Path) -> None:
    """The second time images are fetched from an address, and a node is lost: the same bits."""
    results = []
    fetched = {"YOLOX_IMAGES": f"file://{photographs.root / 'data/raw/images'}", "YOLOX_CACHE": str(tmp_path / "cache")}
    for lost in (False, True):
        project = photographs.copy(tmp_path / f"lost-{lost}")
        environment = nodes.environment | {"YOLOX_WORKERS": "2"} | (fetched if lost else {})
        with Family(project.start(*YOLOX, "train", **environment)) as family:
            until(lambda running=project: running.checkpoints_written() > 2, 600)
            if lost:
                host = next(node for node in nodes.nodes[1:] if trains(node))
                before = project.checkpoints_written()
                nodes.kill(host)
            else:
                for metric in ("ray_yolox_images_per_second", "ray_yolox_time_share", "ray_node_mem_used"):
                    until(lambda name=metric: nodes.told(name), 120)
            printed = finish(family.command)
        assert family.command.returncode == 0, printed[-6000:]
        if lost:
            (line,) = [line for line in printed.splitlines() if line.startswith("resuming after epoch")]
            assert int(line.split()[-1]) + 1 >= before - 1, printed
            assert any((tmp_path / "cache").rglob("*"))
        results.append(project.result())
        assert len(project.history()) == load_params(project)["train"]["epochs"]
    assert results[0] == results[1]


def test_fewer_workers_go_on_where_no_node_is_left_for_the_others(
    nodes: Nodes, finished: Finished, prepared: Project, tmp_path: Path
) -> None:
    project = prepared.copy(tmp_path / "project")
    elastic = {"YOLOX_WORKERS": "2", "YOLOX_MIN_WORKERS": "1"}
    with Family(project.start(*YOLOX, "train", **nodes.environment, **elastic)) as family:
        until(lambda: project.checkpoints_written() > 2, 600)
        assert sum(trains(node) for node in nodes.nodes[1:]) == 2
        for node in sorted(nodes.nodes[1:], key=trains)[:2]:  # the idle one, and one of the two others
            nodes.kill(node)
        printed = finish(family.command)
    assert family.command.returncode == 0, printed[-6000:]
    assert "resuming after epoch" in printed, printed[-6000:]
    losses, undisturbed = ([row["loss"] for row in run.history()] for run in (project, finished.project))
    assert len(losses) == len(undisturbed)
    assert losses == pytest.approx(undisturbed, rel=0.25)  # the same batches; statistics are each worker's own


def load_params(project: Project) -> dict[str, Any]:
    params: dict[str, Any] = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8"))
    return params


def test_a_submitted_run_resumes_and_comes_back(
    nodes: Nodes, finished: Finished, prepared: Project, tmp_path: Path
) -> None:
    project = prepared.copy(tmp_path / "project")
    words = ("yolox", "submit", "--address", f"http://127.0.0.1:{nodes.dashboard}")

    def submitted(**environment: str) -> "subprocess.Popen[str]":
        return project.start(*words, RAY_AUTH_MODE="token", **environment)

    refused = submitted(RAY_AUTH_TOKEN="no" * 32)
    printed = finish(refused)
    assert refused.returncode == 2 and "the cluster wants another token. Set RAY_AUTH_TOKEN" in printed, printed
    assert "Traceback" not in printed and not list(project.root.glob("runs/*"))

    with Family(submitted(RAY_AUTH_TOKEN=nodes.token)) as family:
        until(lambda: project.checkpoints_written() > 2, 600)
        (driver,) = [process for process in of_all(nodes) if "pipeline.cli" in process.cmdline()[2:]]
        driver.kill()
        printed = finish(family.command)
        assert family.command.returncode == 2 and "failed, exit code -9" in printed, printed[-4000:]
        assert "epoch 1" in printed  # the job's own progress

    with Family(submitted(RAY_AUTH_TOKEN=nodes.token)) as family:
        printed = finish(family.command)
        assert family.command.returncode == 0, printed[-6000:]
        assert "resuming after epoch" in printed, printed[-6000:]
    assert project.result() == finished.project.result()


def of_all(nodes: Nodes) -> list[psutil.Process]:
    """Every living process of the cluster that has a command line."""
    found = []
    for node in nodes.nodes:
        for process in psutil.Process(node.pid).children(recursive=True):
            with suppress(psutil.Error):
                if process.cmdline():
                    found.append(process)
    return found


def trains(node: "subprocess.Popen[bytes]") -> bool:
    """Whether a Ray Train worker lives on this node."""
    for process in psutil.Process(node.pid).children(recursive=True):
        with suppress(psutil.Error):
            if (process.cmdline() or [""])[0].startswith("ray::RayTrainWorker"):
                return True
    return False
