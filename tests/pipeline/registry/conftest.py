"""Histories, small detectors and registered versions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry.store import DATABASE
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.registry.versions_project import Models, Versions, train_models


@pytest.fixture
def write_history(tmp_path: Path) -> Callable[[Path, int], list[dict[str, Any]]]:
    """Write a run's history of n epochs, as training does; returns its rows."""

    def write(run_dir: Path, epochs: int) -> list[dict[str, Any]]:
        run_dir.mkdir(parents=True, exist_ok=True)
        rows = [{"epoch": n, "step": 10 * n + 10, "loss": 10.0 - n, "class/a b/map": 0.01 * n} for n in range(epochs)]
        (run_dir / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        timing = [{"epoch": n, "seconds": 1.5} for n in range(epochs)]
        (run_dir / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing), encoding="utf-8")
        return rows

    return write


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Small detectors of which one is better; not to be changed."""
    return train_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def versions(yolox: Yolox, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """A project with data and an empty store, in the folder where `yolox` is called."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, DATABASE)
    made = Versions()
    made.data(range(60))
    return made
