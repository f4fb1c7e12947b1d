"""An environment of the registered model's requirements alone: it loads the champion from a server and serves it."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests

from pipeline.registry.register import CHAMPION, register
from tests import needs
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.registry.test_register import a_release
from tests.servers import Mlflow, answers, free_port, mlflow_server, running
from tests.waiting import until
from yolox_core.config import ONNX_FILE
from yolox_core.export.onnx import export_onnx

pytestmark = pytest.mark.long
CHAMPIONS = f"models:/yolox-detector@{CHAMPION}"
CONFIDENCE = 0.0001
BOXES_PX, SCORES = 1e-3, 1e-6  # other numbers of cores add up in other orders
MOST_BYTES = 550e6
ABSENT = ("torch", "torchvision", "ray", "sqlalchemy", "safetensors", "pipeline")

PREDICT = """
import importlib.util, json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
table = pandas.DataFrame({"image": [open(name, "rb").read() for name in sys.argv[4:]]})
found = model.predict(table, params={"confidence": float(sys.argv[2])})
print(json.dumps([[name for name in sys.argv[3].split() if importlib.util.find_spec(name)], found]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Mlflow]:
    """With a champion that was exported."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, empty_store) as started, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", started.url)
        release = a_release(folder, seed=1)
        export_onnx(release.folder, release.folder / ONNX_FILE)
        register(release)
        yield started


@pytest.fixture(scope="module")
def environment(server: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual environment of what the champion asks for, in the versions of this project's lock."""
    import mlflow

    folder = tmp_path_factory.mktemp("environment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.url)
        wanted = mlflow.pyfunc.get_model_dependencies(CHAMPIONS)
    lock = needs.ROOT / "requirements-dev.txt"
    python = folder / "env/bin/python"
    for words in (
        ["venv", "--quiet", "--python", sys.executable, str(folder / "env")],
        ["pip", "install", "--quiet", "--python", str(python), "--requirement", wanted, "--constraint", str(lock)],
    ):
        subprocess.run([str(needs.uv()), *words], check=True, cwd=folder)
    return python


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.jpg" for number in range(3)]
    for path, (height, width) in zip(paths, ((50, 80), (64, 64), (300, 210)), strict=True):
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(path), pixels)
    return paths


def settings(server: Mlflow) -> dict[str, str]:
    """The environment variables of a program that knows of the server, and of none of this project's code."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"MLFLOW_TRACKING_URI": server.url}


@pytest.fixture
def expected(yolox: Yolox, server: Mlflow, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `yolox predict` finds with the champion, image by image."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    words = ["predict", *map(str, images), "--model", CHAMPIONS, "--conf", str(CONFIDENCE), "--json", "found.json"]
    ended = yolox(*words)
    assert ended.code == 0, ended
    found: list[dict[str, Any]] = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert found, "a comparison of nothing would prove nothing"
    return found


def assert_same(found: list[list[dict[str, Any]]], expected: list[dict[str, Any]]) -> None:
    """The same objects in the same order, image by image."""
    plain = [entry for image in found for entry in image]
    for name in ("category_id", "category_name"):
        assert [entry[name] for entry in plain] == [entry[name] for entry in expected]
    for name, nearly in (("bbox", BOXES_PX), ("score", SCORES)):
        values = ([entry[name] for entry in one] for one in (plain, expected))
        np.testing.assert_allclose(*values, rtol=0, atol=nearly)


def test_the_champion_finds_what_yolox_predict_finds(
    environment: Path, server: Mlflow, images: list[Path], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    words = [str(environment), "-I", "-c", PREDICT, CHAMPIONS, str(CONFIDENCE), " ".join(ABSENT), *map(str, images)]
    done = subprocess.run(words, cwd=tmp_path, env=settings(server), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    present, found = json.loads(done.stdout.splitlines()[-1])
    assert present == []
    assert_same(found, expected)


def test_its_environment_is_small(environment: Path) -> None:
    files = [path for path in environment.parents[1].rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_mlflow_serves_it(
    environment: Path, server: Mlflow, images: list[Path], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    port = free_port()
    words = [str(environment.with_name("mlflow")), "models", "serve", "--model-uri", CHAMPIONS, "--port", str(port)]
    path = f"{environment.parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    options = {"cwd": tmp_path, "env": settings(server) | {"PATH": path}}
    with running([*words, "--env-manager", "local"], tmp_path / "log", **options) as process:
        until(lambda: answers(port) or process.poll() is not None, 120)
        rows = [[base64.b64encode(image.read_bytes()).decode("ascii")] for image in images]
        body = {"dataframe_split": {"columns": ["image"], "data": rows}, "params": {"confidence": CONFIDENCE}}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert_same(answer.json()["predictions"], expected)
