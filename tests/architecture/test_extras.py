"""The package's extras hold what the code imports: each command works with its own, and names the one that is missing.

Environments of the package alone, or with one extra, are folders of hard links to what is installed here.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.utils import canonicalize_name

from pipeline.console.extras import BY_MODULE, EXTRAS, install
from tests import packages
from tests.architecture.imports import imports, modules
from tests.architecture.test_rooms import inside
from tests.needs import ROOT
from tests.pipeline.data import folders
from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.export.onnx import export_onnx
from yolox_core.model.weights import release

SAID_ELSEWHERE = {  # modules outside the package alone that pipeline/console/extras.py has no entry for
    "openvino": "yolox_core/inference/runtime.py says it, as of the other runtimes",
    "pandas": "comes with mlflow, which is imported before it",
    "sqlalchemy": "comes with mlflow; without it (mlflow-skinny) stores are servers",
    "supervision": "who calls to_supervision has it",
}
FOR_OTHERS = {  # what is named in pyproject.toml although nothing here imports it
    "httptools": "uvicorn",
    "onnxscript": "torch.onnx",
    "python-multipart": "starlette",
    "uvloop": "uvicorn",
}
WORKS = [  # with the package alone
    "--help",
    "predict --help",
    "predict image.png --model released",
    "predict image.png --model released/model.onnx --slice",
    "predict image.png --model released --json a.json --csv a.csv --coco c.json --labels l --crops p --save-dir d",
    "predict clip.avi --model released --save-dir drawn",
    "doctor images",
    "doctor images --html doctor.html --fix fixed",
    "convert images copy --to yolo",
    "runs",
]
NEEDS = {  # command -> the extra that it names, with the package alone
    "init new": "train",
    "repro": "train",
    "train": "train",
    "sweep": "train",
    "sweep --plan": "train",
    "study pipeline/study/planted.yaml --plan": "train",
    "export": "train",
    "export --model released": "train",
    "assign image.png --model released": "train",
    "predict image.png --model released --runtime torch": "train",
    "predict image.png --model released/model.safetensors": "train",
    "predict image.png --model released --runtime openvino": "openvino",
    "predict image.png --model models:/a@champion": "registry",
    "lineage 1": "registry",
    "promote 1": "registry",
    "rollback": "registry",
    "serve --model released": "serve",
    "serve --model released --ray": "all",
    "convert s3://bucket/images copy2 --to yolo": "s3",
    "doctor gs://bucket/images": "train",
    "doctor dvc://repository@main:images": "train",
}


@cache
def distributions(module: str) -> frozenset[str]:
    """Those that install a top-level module."""
    return frozenset(canonicalize_name(name) for name in _by_module().get(module, ()))


@cache
def _by_module() -> Mapping[str, list[str]]:
    return packages_distributions()  # reads every package's list of files: a second


@cache
def third_parties(name: str) -> frozenset[str]:
    """The top-level modules of others that a module of ours imports, in functions too."""
    tops = {target.split(".")[0] for target in imports(name)}
    return frozenset(tops - {"pipeline", "yolox_core"} - set(sys.stdlib_module_names))


def outside(required: frozenset[str]) -> set[str]:
    """What our modules but the service's import and these distributions do not install."""
    found = {module for name in modules() if not inside(name, ["pipeline.serving"]) for module in third_parties(name)}
    return {module for module in found if not distributions(module) & required}


def test_what_the_package_alone_lacks_has_an_extra_to_name() -> None:
    assert outside(packages.required()) <= {*BY_MODULE, *SAID_ELSEWHERE}, "an entry of pipeline/console/extras.py"


def test_train_brings_what_everything_but_the_service_imports() -> None:
    assert outside(packages.required("train")) == {"openvino", "supervision"}


def test_all_brings_everything_but_openvino() -> None:
    found, required = {module for name in modules() for module in third_parties(name)}, packages.required("all")
    assert {module for module in found if not distributions(module) & required} == {"openvino"}


@pytest.mark.parametrize("module", BY_MODULE)
def test_the_extra_that_is_named_brings_the_module(module: str) -> None:
    assert distributions(module) & packages.required(BY_MODULE[module])
    assert not distributions(module) & packages.required(), "the package alone has it: no line names it"


def test_each_extra_that_can_be_named_is_one() -> None:
    assert {*EXTRAS, *NEEDS.values()} <= set(packages.project()["optional-dependencies"])


@pytest.mark.parametrize("extra", [None, "registry", "serve", "train", "all"])
def test_an_extra_names_nothing_that_is_not_imported(extra: str | None) -> None:
    named = {canonicalize_name(one.name) for one in packages.asked_for(extra)} - {packages.project()["name"]}
    used = {one for name in modules() for module in third_parties(name) for one in distributions(module)}
    assert named - used <= set(FOR_OTHERS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own requirements."""
    return packages.install(packages.required(), tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, a released model, images, a clip."""
    root = tmp_path_factory.mktemp("extras") / "project"
    subprocess.run([sys.executable, "-P", "-m", "pipeline.cli", "init", str(root)], check=True, cwd=ROOT)
    (root / "pipeline").symlink_to(ROOT / "pipeline")
    release(root / "released", opinionated(), SPEC)
    export_onnx(root / "released", root / "released" / "model.onnx")
    folders.voc(root / "images", {f"image{number}": [("cat", 8, 8, 40, 40)] for number in range(6)})
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    cv2.imwrite(str(root / "image.png"), picture)
    clip = cv2.VideoWriter(str(root / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 96))
    for _ in range(3):
        clip.write(picture)
    clip.release()
    return root


def run(packages_folder: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with these packages, ours, and none of those that are installed here."""
    ours = {"PYTHONPATH": f"{packages_folder}{os.pathsep}{ROOT}", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    kept = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE")}
    kept |= {**ours, "YOLOX_SEEN": str(cwd / "seen.sqlite")}
    python = [sys.executable, "-S", "-P"]
    return subprocess.run([*python, *words], cwd=cwd, env=kept, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", WORKS)
def test_a_command_works_with_the_package_alone(command: str, alone: Path, project: Path) -> None:
    done = run(alone, project, "-m", "pipeline.cli", *command.split())
    assert done.returncode in ((0, 1) if command.startswith("doctor") else (0,)), done.stderr
    assert "Traceback" not in done.stderr and "error" not in done.stderr


@pytest.mark.parametrize("command", NEEDS)
def test_a_command_names_the_extra_that_it_needs(command: str, alone: Path, project: Path) -> None:
    done = run(alone, project, "-m", "pipeline.cli", *command.split())
    assert done.returncode == 2, done
    *before, line = done.stderr.splitlines()
    assert not before and line.startswith("error: ") and f"Run: {install(NEEDS[command])}" in line, done.stderr


def test_predictor_names_the_extra_too(alone: Path, project: Path) -> None:
    code = "from pipeline import Predictor; Predictor('models:/a@champion')"
    last = run(alone, project, "-c", code).stderr.splitlines()[-1]
    assert last == (
        "yolox_core.errors.InputError: the model registry needs MLflow, which is not installed. "
        f"Run: {install('registry')}."
    )


def test_serve_brings_what_the_service_imports(project: Path, tmp_path: Path) -> None:
    folder = packages.install(packages.required("serve"), tmp_path / "serve")
    code = "import httptools, multipart, uvloop, pipeline.serving.uvicorn_server"
    done = run(folder, project, "-c", code)
    assert done.returncode == 0, done.stderr
    assert (
        f"Run: {install('registry')}"
        in run(folder, project, "-m", "pipeline.cli", "serve", "--model", "models:/a@champion").stderr
    )


def test_registry_brings_what_a_reference_needs(project: Path, tmp_path: Path) -> None:
    folder = packages.install(packages.required("registry"), tmp_path / "registry")
    done = run(folder, project, "-m", "pipeline.cli", "predict", "image.png", "--model", "models:/a@champion")
    assert done.returncode == 2 and "MLflow does not answer" in done.stderr, done.stderr
