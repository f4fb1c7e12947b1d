"""What `yolox repro` prints at its end, where it is run."""

from pathlib import Path

import pytest

from pipeline.cli.repro.summary import mlflow_page, program


def test_commands_are_called_as_the_folder_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a clone by the path of its own environment, in a project of an installed package by name."""
    monkeypatch.chdir(tmp_path)
    assert program("yolox") == "yolox"
    assert mlflow_page("sqlite:///mlflow.db").startswith("mlflow ui ")
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/yolox").touch()
    assert program("yolox") == ".venv/bin/yolox"
