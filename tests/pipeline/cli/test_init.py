"""`yolox init`: a project on the installed package, or one line and nothing written."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import paths
from pipeline.config.settings import load_settings
from pipeline.data.sources.fetch import source_digest
from pipeline.stages import package
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import Yolox, state
from tests.pipeline.data import folders

CAT = ("cat", 10, 10, 30, 40)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "source", {"image": [CAT]})


def graph(root: Path) -> Any:
    return yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_project_of_the_users_images(yolox: Yolox, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = yolox("init", "mine", "--data", source, "--preset", "few-images")
    assert (ended.code, ended.line) == (0, "") and "cd mine && yolox repro" in ended.out
    assert git(Path("mine"), "rev-parse", "--show-toplevel") == str(Path("mine").resolve())
    monkeypatch.chdir("mine")
    settings = load_settings()
    assert settings.data.source == str(source) and settings.train.freeze == ("backbone",)
    assert source_digest(settings.data)[1] == 2  # an image and its annotation
    assert (
        git(Path(), "check-ignore", "data/raw", "runs/a", "models/trained", "reports/report.html", "mlflow.db").count(
            "\n"
        )
        == 4
    )
    assert "core.analytics=false" in subprocess.run(["dvc", "config", "--list"], capture_output=True, text=True).stdout
    assert "yolox predict" in Path("README.md").read_text()


def test_the_graph_is_this_repositorys_with_the_release_in_place_of_the_code(yolox: Yolox) -> None:
    yolox("init", "mine")
    ours, theirs = graph(ROOT)["stages"], graph(Path("mine"))["stages"]
    assert list(theirs) == ["package", *ours]
    for name, stage in ours.items():
        files = [dep for dep in stage.get("deps", []) if dep.startswith(("data/", "models/", "reports/"))]
        expected = {**stage, "deps": ["data/package.json", *files]} if "deps" in stage else stage
        assert theirs[name] == expected
    assert graph(Path("mine"))["plots"] == graph(ROOT)["plots"]
    done = subprocess.run(["dvc", "stage", "list"], cwd="mine", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("package"), done.stderr


def test_the_release_is_what_is_installed(yolox: Yolox) -> None:
    yolox("init", "mine")
    package.run(load_settings(Path("mine/params.yaml")))
    said = json.loads(paths.PACKAGE.read_text())
    assert said["version"] == version("yolox-pipeline") and len(said["code"]) == 64


def test_inside_a_repository_of_the_users_nothing_of_theirs_changes(yolox: Yolox) -> None:
    folder = Path("work/detector")
    folder.mkdir(parents=True)
    git(Path("work"), "init", "--quiet")
    (folder / "README.md").write_text("mine")
    (folder / ".gitignore").write_text("secret\n")
    assert yolox("init", folder).code == 0
    assert git(folder, "rev-parse", "--show-toplevel") == str(Path("work").resolve())
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / ".gitignore").read_text().startswith("secret\n\n")
    done = subprocess.run(["dvc", "status"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_git(yolox: Yolox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert yolox("init", "mine").code == 0
    config = Path("mine/.dvc/config").read_text()
    assert "no_scm" in config and config.count("[core]") == 1 and "analytics = false" in config
    assert not Path("mine/.git").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mine",), "without a project"),
        (("new", "--data", "absent"), "no such folder"),
        (("new", "--preset", "few"), "PRESET: expected one of"),
        (("file",), "without a project"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(yolox: Yolox, words: tuple[str, ...], said: str) -> None:
    yolox("init", "mine")
    Path("file").touch()
    before = state(Path())
    yolox("init", *words).refused(said)
    assert state(Path()) == before
