"""What each command may load: a row a command, run in a process of its own. A first box takes a second, not twelve.

PyTorch is for what reads a `.pt`, `.pth` or safetensors, trains, or is asked for it by `--runtime torch`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import paths
from tests.needs import ROOT
from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.export.onnx import export_onnx
from yolox_core.model.weights import release

HEAVY = {
    "PIL",
    "aiohttp",
    "albumentations",
    "dvc",
    "fsspec",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "pandas",
    "pyarrow",
    "ray",
    "requests",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "supervision",
    "torch",
    "torchvision",
    "typer",
}
# What begins without `yolox` is imported alone: running it takes a cluster, a store or minutes.
MAY_LOAD: dict[str, str] = {
    "yolox --help": "typer",
    "yolox predict --help": "typer",
    "yolox predict image.png --model model.onnx": "typer rich onnxruntime",
    "yolox predict image.png --model released": "typer rich onnxruntime",
    "yolox predict image.png --model released --runtime onnx --json found.json": "typer rich onnxruntime",
    "yolox predict image.png --model released --runtime onnx --save-dir drawn": "typer rich onnxruntime",
    "yolox predict image.png --model released --runtime torch": "typer rich torch",
    "yolox doctor data/raw": "typer rich PIL",
    "yolox doctor data/raw --html doctor.html": "typer rich PIL",
    "yolox convert data/raw copy --to yolo": "typer",
    "yolox init new": "typer",
    "yolox init --upgrade another": "typer",
    "yolox runs": "typer",
    "yolox sweep --plan": "typer torch",  # counts the operations of every model of the space
    "yolox package": "typer",
    "yolox fingerprint": "typer",
    "yolox ingest": "typer",
    "yolox validate": "typer rich PIL",
    "yolox prepare": "typer",
    "pipeline.stages.train": "",  # the driver: what a run needs is imported beside Ray's start
    "pipeline.stages.evaluate": "",
    "pipeline.stages.export": "torch",
    "pipeline.stages.register": "",
    "pipeline.stages.report": "",
    "pipeline.stages.study": "",
    "pipeline.cli.assign": "rich torch",
    "pipeline.cli.lineage": "rich",
    "pipeline.cli.repro.command": "",
    "pipeline.cli.repro.summary": "rich",
    "pipeline.cli.promote": "rich",
    "pipeline.cluster.ray_job": "",
    "pipeline.serving.server": "",
    "pipeline.serving.uvicorn_server": "",
}
PROBE = """
import importlib, json, sys
words, heavy = sys.argv[1].split(), json.loads(sys.argv[2])
if words[0] != "yolox":
    importlib.import_module(words[0])
else:
    from pipeline.cli.main import main
    sys.argv = words
    try:
        main()
    except SystemExit as ended:
        if ended.code not in (0, None):
            raise
print(json.dumps(sorted(name for name in heavy if name in sys.modules)))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data is prepared, and a model beside it."""
    root = tmp_path_factory.mktemp("loaded") / "project"
    loaded(root.parent, f"yolox init {root}")
    params = (root / paths.PARAMS).read_text(encoding="utf-8")
    (root / paths.PARAMS).write_text(params.replace("images: 700", "images: 20"), encoding="utf-8")
    for stage in ("fingerprint", "ingest", "validate", "prepare"):
        loaded(root, f"yolox {stage}")
    loaded(root, "yolox init another")
    cv2.imwrite(str(root / "image.png"), np.zeros((96, 128, 3), np.uint8))
    release(root / "released", opinionated(), SPEC)
    export_onnx(root / "released", root / "released" / "model.onnx")
    (root / "model.onnx").symlink_to(root / "released" / "model.onnx")
    return root


def loaded(folder: Path, command: str) -> set[str]:
    """The heavy modules that a process has imported when the command has ended."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, command, json.dumps(sorted(HEAVY))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "YOLOX_SEEN": str(folder / "seen.sqlite")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command", MAY_LOAD)
def test_a_command_loads_what_it_needs_and_no_more(command: str, project: Path) -> None:
    assert loaded(project, command) <= set(MAY_LOAD[command].split())
