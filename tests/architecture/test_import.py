"""Importing does nothing but define names, and the core needs only four third parties."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.imports import modules, tree
from tests.needs import ROOT

# Everything that the core may use besides torch, numpy and OpenCV, and all that belongs to the pipeline.
ELSEWHERE = """
albumentations dvc faster_coco_eval fastapi jinja2 matplotlib mlflow onnx onnxruntime onnxscript
openvino pandas pycocotools pydantic ray rich safetensors scipy sklearn supervision typer yaml
"""

PROBE = """
import importlib, json, os, random, sys
import cv2, numpy, torch  # what these do at import is theirs
elsewhere, names = json.loads(sys.argv[1])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in elsewhere:
            raise ModuleNotFoundError(f"{name} is not one of the core's four", name=name)

def state():
    return {
        "environment": dict(os.environ),
        "random": repr(random.getstate()),
        "numpy": repr(numpy.random.get_state()),
        "torch": torch.initial_seed(),
        "torch threads": torch.get_num_threads(),
        "OpenCV threads": cv2.getNumThreads(),
        "folder": os.getcwd(),
        "files": sorted(os.listdir()),
    }

for name in list(sys.modules):
    if name.split(".")[0] in elsewhere:
        del sys.modules[name]
sys.meta_path.insert(0, Absent())
before, refused = state(), {}
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        refused[name] = str(missing)
after = state()
print(json.dumps({"refused": refused, "changed": [key for key in before if before[key] != after[key]]}))
"""


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What happened when every file of the core was imported in a fresh process that has only the four."""
    names = sorted(name for name in modules() if name.split(".")[0] == "yolox_core")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([ELSEWHERE.split(), names])],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_core_needs_only_torch_numpy_and_opencv(probed: Any) -> None:
    assert probed["refused"] == {}


def test_importing_the_core_changes_nothing(probed: Any) -> None:
    assert probed["changed"] == []


@pytest.mark.parametrize("name", modules())
def test_a_module_only_defines(name: str) -> None:
    """No call for its effect at the top level of a file: no mkdir, no seeding, no environment writes."""
    strays = [f"{_file(name)}:{node.lineno}: {ast.unparse(node)}" for node in _statements(tree(name)) if _acts(node)]
    assert not strays


def _statements(module: ast.Module) -> list[ast.stmt]:
    """The statements that run at import, those within an `if` or `try` included; not `if __name__ == "__main__"`."""
    waiting, found = list(module.body), []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        found.append(node)
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)):
                waiting.extend(getattr(node, part, []))
    return found


def _acts(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        # MLflow's models from code are declared by such a call
        return isinstance(node.value, ast.Call) and not ast.unparse(node.value.func).endswith("set_model")
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(ast.unparse(target).startswith("os.environ") for target in targets)


def _file(name: str) -> Path:
    return modules()[name].relative_to(ROOT)


@pytest.mark.parametrize(
    ("source", "acts"),
    [
        ("os.environ['A'] = '1'", True),
        ("if True:\n    os.environ.setdefault('A', '1')", True),
        ("torch.manual_seed(0)", True),
        ("'''A docstring.'''\nX = Path('a')\ndef f():\n    X.mkdir()", False),
        ("if __name__ == '__main__':\n    main()", False),
    ],
)
def test_the_rule_tells_acting_from_defining(source: str, acts: bool) -> None:
    assert any(_acts(node) for node in _statements(ast.parse(source))) is acts
