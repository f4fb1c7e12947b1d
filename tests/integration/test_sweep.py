"""A sweep through a real Ray cluster and a real MLflow store: it ends, it goes on after a kill, it repeats itself."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from tests.integration.project import PARAMS, YOLOX, Family, Project, finish
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

EPOCHS = 4
BASE = {"train.epochs": EPOCHS, "augment.multiscale": None, "train.learning_rate": 0.01}


def swept(prepared: Project, root: Path, space: dict[str, Any], **sweep: Any) -> Project:
    project = prepared.copy(root)
    base = {name: value for name, value in BASE.items() if name not in space}
    project.set_params({**PARAMS, "sweep": {"space": space, "base": base, "finalists": 2, "seeds": 2, **sweep}})
    return project


def run(project: Project, *words: str, **environment: str) -> str:
    with Family(project.start(*YOLOX, "sweep", *words, **environment)) as family, family.watched():
        printed = finish(family.command)
    assert family.command.returncode == 0, printed[-6000:]
    assert not family.survivors()
    return printed


def table(project: Project) -> list[dict[str, str]]:
    with (project.root / "reports/sweep/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def state_of(folder: Path) -> Any:
    return json.loads((folder / "trial.json").read_text(encoding="utf-8"))["state"]


def test_a_sweep_ends_though_a_trial_fails_and_mlflow_tells_it(prepared: Project, tmp_path: Path) -> None:
    space = {"model.width": [0.125, 0.25], "train.learning_rate": [0.01, 1e30]}
    project = swept(prepared, tmp_path / "project", space, grace_epochs=1, reduction=2)
    printed = run(project, "--trials", "2")
    rows = table(project)
    assert len(rows) == 4
    for row in rows:
        assert (row["state"] == "failed") == (float(row["train.learning_rate"]) > 1), row
        assert 1 <= int(row["epochs"]) <= EPOCHS or row["state"] == "failed"
        assert (row["state"] == "finished") == (int(row["epochs"]) == EPOCHS)
    assert any(row["front"] for row in rows)
    assert "failed after 0 epochs" in printed and "the loss is not a number" in printed
    page = (project.root / "reports/sweep/report.html").read_text(encoding="utf-8")
    assert "the loss is not a number" in page and page.count("<svg") == 2 + len(space)

    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    (experiment,) = [found.experiment_id for found in client.search_experiments() if found.name == "yolox-detector"]
    runs = client.search_runs([experiment])
    (parent,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    children = [one for one in runs if one is not parent]
    assert all(one.data.tags["mlflow.parentRunId"] == parent.info.run_id for one in children)
    finals = 2 * min(2, sum(row["state"] == "finished" for row in rows))  # seeds, of two finalists at most
    assert len(children) == 4 + finals and parent.info.status == "FINISHED"
    status = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    by_name = {one.info.run_name: one for one in children}
    for row in rows:
        child = by_name[row["trial"]]
        assert child.info.status == status[row["state"]] and child.data.tags["sweep.state"] == row["state"]
        assert len(client.get_metric_history(child.info.run_id, "loss")) == int(row["epochs"])
        if row["state"] == "failed":
            assert "the loss is not a number" in child.data.tags["sweep.error"]
            assert [file.path for file in client.list_artifacts(child.info.run_id)] == ["error.txt"]
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {"trials.csv", "best.yaml"}

    before = (project.root / "params.yaml").read_text(encoding="utf-8")
    applied = project.start(*YOLOX, "sweep", "--apply")
    assert "model.width: 0.125 -> " in finish(applied)
    best = yaml.safe_load((project.root / "reports/sweep/best.yaml").read_text(encoding="utf-8"))
    after = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8"))
    assert after["model"]["width"] == best["params"]["model.width"]
    assert after["train"]["learning_rate"] == best["params"]["train.learning_rate"]
    (project.root / "params.yaml").write_text(before, encoding="utf-8")

    again = run(project)  # nothing is left to do
    assert "trial 1 of" not in again and "final 1 of" not in again
    assert table(project) == rows


GRID = {"model.width": [0.125, 0.25], "assign.center_radius": [1.0, 1.5, 2.5]}


@pytest.fixture(scope="module")
def one_at_a_time(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = swept(prepared, tmp_path_factory.mktemp("sweep") / "project", GRID, early_stopping=False, finalists=1)
    run(project)
    return project


def timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.long
def test_how_many_run_at_once_changes_no_figure(one_at_a_time: Project, prepared: Project, tmp_path: Path) -> None:
    project = swept(prepared, tmp_path / "project", GRID, early_stopping=False, finalists=1)
    run(project, "--trials", "2")
    assert len(table(project)) == 6
    assert timeless(table(project)) == timeless(table(one_at_a_time))


@pytest.mark.long
def test_a_killed_sweep_goes_on(one_at_a_time: Project, prepared: Project, tmp_path: Path) -> None:
    project = swept(prepared, tmp_path / "project", GRID, early_stopping=False, finalists=1)

    def ended() -> list[Path]:
        folders = project.root.glob("runs/sweep-*/trials/*")
        return [folder for folder in folders if (folder / "trial.json").is_file() and state_of(folder) == "finished"]

    with Family(project.start(*YOLOX, "sweep", "--trials", "2")) as family:
        until(lambda: len(ended()) >= 2, 600)
        done = {folder: os.stat(folder / "checkpoints" / f"epoch_{EPOCHS:05d}.pt").st_mtime_ns for folder in ended()}
        family.look()
        family.head.kill()
        family.command.wait()
    printed = run(project, "--trials", "2")
    for folder, written_ns in done.items():
        assert os.stat(folder / "checkpoints" / f"epoch_{EPOCHS:05d}.pt").st_mtime_ns == written_ns
    assert "of 6" in printed
    assert timeless(table(project)) == timeless(table(one_at_a_time))


@pytest.mark.long
def test_a_sweep_that_is_interrupted_chooses_nothing(prepared: Project, tmp_path: Path) -> None:
    """In its last wave, when no trial is left to begin."""
    project = swept(prepared, tmp_path / "project", {"model.width": [0.125, 0.25]}, early_stopping=False)
    with Family(project.start(*YOLOX, "sweep", "--trials", "2")) as family, family.watched():
        until(lambda: len(list(project.root.glob("runs/sweep-*/trials/*/history.jsonl"))) == 2, 600)
        family.head.send_signal(signal.SIGINT)
        printed = finish(family.command)
    assert family.command.returncode == 128 + signal.SIGINT, printed[-6000:]
    assert "sweep: interrupted. Run it again: it resumes." in printed and "final" not in printed, printed[-6000:]
    assert not (project.root / "reports/sweep").exists()
    run(project, "--trials", "2")
    assert [row["state"] for row in table(project)] == ["finished"] * 2


@pytest.mark.long
@pytest.mark.parametrize("search", ["random", "tpe"])
def test_a_sweep_that_draws(prepared: Project, tmp_path: Path, search: str) -> None:
    """Optuna with two objectives at once: those trials are not stopped early."""
    space = {"model.width": [0.125, 0.25], "assign.center_radius": {"low": 1.0, "high": 4.0}}
    options = {"search": search, "samples": 3, "early_stopping": False, "base": BASE | {"train.epochs": 2}}
    project = swept(prepared, tmp_path / "project", space, finalists=1, **options)
    run(project, "--trials", "2")
    rows = table(project)
    assert len(rows) == 3 and all(row["state"] == "finished" for row in rows)
    assert all(1.0 <= float(row["assign.center_radius"]) <= 4.0 for row in rows)


@pytest.mark.long
def test_trials_of_two_workers(prepared: Project, tmp_path: Path) -> None:
    options = {"workers_per_trial": 2, "base": BASE | {"train.epochs": 2}, "early_stopping": False, "finalists": 1}
    project = swept(prepared, tmp_path / "project", {"assign.center_radius": [1.5]}, **options)
    printed = run(project)
    assert [row["state"] for row in table(project)] == ["finished"], printed[-4000:]
