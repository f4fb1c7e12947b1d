"""A project that was moved or copied, with its store beside it: MLflow keeps absolute folders."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.registry.relocation import located
from pipeline.registry.resolve import resolve
from pipeline.registry.store import DATABASE, tracking_uri
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.registry.versions_project import NAME, Models, Versions
from yolox_core.config import WEIGHTS_FILE

CHAMPION = f"models:/{NAME}@champion"


def content(folder: Path) -> dict[str, str]:
    """sha256 of each file, by its place, with the time of its last change."""
    return {
        str(path.relative_to(folder)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def original(versions: Versions, models: Models) -> Path:
    """A project with one registered version."""
    versions.register(models.early)
    return Path.cwd()


def test_a_moved_project_is_read_and_nothing_of_it_is_changed(
    yolox: Yolox, original: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = original.with_name("moved elsewhere")
    original.rename(moved)
    monkeypatch.chdir(moved)
    before = content(moved)
    folder = resolve(CHAMPION)
    assert folder.is_relative_to(moved)
    assert (folder / WEIGHTS_FILE).read_bytes() == (models.early / WEIGHTS_FILE).read_bytes()
    image = next((moved / "data").rglob("*.png"))
    assert yolox("predict", str(image), "--model", CHAMPION).code == 0
    ended = yolox("lineage", "champion", "--name", NAME)
    assert "model" in ended.out and "cannot be read" not in ended.out, ended.out
    assert content(moved) == before and not original.exists()


def test_a_copy_neither_reads_its_original_nor_writes_into_it(
    original: Path, versions: Versions, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(original, original.with_name("copy")))
    before = content(original)
    monkeypatch.chdir(copy)
    assert resolve(CHAMPION).is_relative_to(copy)
    assert versions.register(models.good) == "2"
    assert content(original) == before
    assert resolve(f"models:/{NAME}/2").is_relative_to(copy)
    with sqlite3.connect(DATABASE) as database:
        assert not [line for line in database.iterdump() if f"{original}/mlartifacts" in line]
    shutil.rmtree(original)
    assert (resolve(CHAMPION) / WEIGHTS_FILE).read_bytes() == (models.early / WEIGHTS_FILE).read_bytes()


def test_addresses_of_other_stores_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own, new = tracking_uri(), (tmp_path / "mlartifacts").as_uri()
    assert located("file:///old%20one/mlartifacts/1/artifacts", own) == f"{new}/1/artifacts"
    assert located("file:///mlartifacts/old/mlartifacts", own) == new
    for address in ("s3://bucket/mlartifacts/1", "mlflow-artifacts:/1/a", "file:///old/elsewhere/1", "/old/mlruns/0"):
        assert located(address, own) == address
    assert located("file:///old/mlartifacts/1", "http://127.0.0.1:5000") == "file:///old/mlartifacts/1"
