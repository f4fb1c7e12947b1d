"""The programs of docs/export.md, run as they stand where this project is not to be found, give its own boxes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.needs import ROOT
from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.export.formats import write_formats
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release

PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the forms that the page runs, and a photo."""
    target = tmp_path_factory.mktemp("outside")
    release(target / "weights", opinionated(), SPEC)
    write_formats(target / "weights", ["nms", "openvino"], target, [])
    cv2.imwrite(str(target / "photo.png"), np.random.default_rng(3).integers(0, 256, (90, 150, 3), np.uint8))
    return target


def test_there_are_two() -> None:
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize("program", PROGRAMS, ids=["nms", "openvino"])
def test_a_program_of_the_page(folder: Path, program: str) -> None:
    thresholds = (SPEC.confidence, SPEC.nms_iou)
    here = program.replace("photo.jpg", "photo.png").replace("0.25, 0.65", f"{thresholds[0]}, {thresholds[1]}")
    words = [sys.executable, "-I", "-c", here]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    got = []
    for line in done.stdout.splitlines():
        name, score, box = line.split(maxsplit=2)
        got.append((SPEC.class_names.index(name), float(score), *ast.literal_eval(box)))
    predictor = Predictor.load(folder / "weights")
    (expected,) = predictor.predict([cv2.imread(str(folder / "photo.png"))], *thresholds)
    assert len(expected.scores) > 3
    order = np.argsort([-row[1] for row in got], kind="stable")
    rows = np.array(got)[order]
    np.testing.assert_array_equal(rows[:, 0], expected.labels)
    np.testing.assert_allclose(rows[:, 1], expected.scores, atol=1e-4)
    limit = np.array([150, 90, 150, 90])  # this project's boxes end at the image's edge
    np.testing.assert_allclose(np.clip(rows[:, 2:], 0, limit), expected.boxes, atol=0.02)
