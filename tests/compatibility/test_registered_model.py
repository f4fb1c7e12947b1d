"""Versions that the release before registered: loaded by MLflow, served, promoted, compared and traced."""

import asyncio
import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.registry import evidence
from pipeline.registry.resolve import lookup
from pipeline.serving.model_watcher import ModelWatcher
from pipeline.serving.pool import Pool, Question
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import Yolox

# Its detections as JSON, by each alias, and whose `yolox_core` found them.
PREDICT = """
import json, logging, sys
exec(sys.argv[1])
import mlflow, pandas
logging.getLogger("mlflow").setLevel(logging.ERROR)
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[2]}/mlflow.db")
table = pandas.DataFrame({"image": [open(name, "rb").read() for name in sys.argv[5:]]})
found = {}
for alias in ("champion", "challenger"):
    model = mlflow.pyfunc.load_model(f"models:/{sys.argv[3]}@{alias}")
    found[alias] = model.predict(table, params={"confidence": float(sys.argv[4])})
import yolox_core
print(json.dumps([yolox_core.__file__, found]))
"""
BOXES_PX, SCORES = 1e-4, 1e-6  # how near numbers have to be: other machines add up in other orders


@pytest.mark.parametrize(
    ("before", "whose"),
    [
        ("", "the model's own"),
        ("import yolox_core", "ours"),
        ("import yolox_core.inference.predictor, pipeline.registry.resolve", "ours"),
    ],
)
def test_mlflow_predicts_whatever_was_imported_before(
    unpacked: Path, expected: dict[str, Any], tmp_path: Path, before: str, whose: str
) -> None:
    images = [unpacked / name for name in expected["images"]]
    words = [before, unpacked, expected["name"], expected["confidence"], *images]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PREDICT, *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    core, found = json.loads(done.stdout.splitlines()[-1])
    assert Path(core).is_relative_to(ROOT if whose == "ours" else unpacked / "mlartifacts")
    assert any(expected["predictions"]["challenger"]), "a comparison of nothing would prove nothing"
    for alias, images in expected["predictions"].items():
        assert_same(found[alias], images)


def assert_same(found: list[list[dict[str, Any]]], expected: list[list[dict[str, Any]]]) -> None:
    """The same detections of each image, in order."""
    assert [len(image) for image in found] == [len(image) for image in expected]
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        np.testing.assert_allclose(one.pop("bbox"), other["bbox"], rtol=0, atol=BOXES_PX)
        np.testing.assert_allclose(one.pop("score"), other["score"], rtol=0, atol=SCORES)
        assert one == {name: value for name, value in other.items() if name not in ("bbox", "score")}


def test_a_version_is_served(earlier: Path, expected: dict[str, Any]) -> None:
    """What a replica does with a request; the boxes of the server are those that MLflow gives."""
    watcher = ModelWatcher(f"models:/{expected['name']}@challenger", "torch", "cpu")
    assert watcher.moves and watcher.model.version == "2" and not watcher.refresh()
    served = []
    for row, name in enumerate(expected["images"]):
        question = Question(watcher.model, (earlier / name).read_bytes(), expected["confidence"], 0.65)
        served.append(asyncio.run(Pool(1).detect(question)).found.to_json("", row))
    assert_same(served, expected["predictions"]["challenger"])


def test_its_evidence_can_be_compared(earlier: Path, expected: dict[str, Any]) -> None:
    first, second = (evidence.read(*lookup(f"models:/{expected['name']}/{number}")) for number in (1, 2))
    assert first.held_out.digest == second.held_out.digest == expected["version_tags"]["1"]["test.digest"]
    assert evidence.onto(first, second.held_out) == first.detections


def facts(text: str) -> list[str]:
    """The digests and figures of what a command printed, in order; its words may change."""
    return re.findall(r"\b[0-9a-f]{8,}\b|[-+]?\d+\.\d+", text)


def test_the_commands_answer_as_before(
    earlier: Path, expected: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """runs, lineage, promote and rollback, each after the one before: promotions are by the old versions' evidence."""
    monkeypatch.setenv("COLUMNS", "120")
    yolox = Yolox(capsys, monkeypatch)
    for command in expected["commands"]:
        ended = yolox(*command["command"].split()[1:])
        assert (ended.code, facts(ended.out)) == (command["code"], facts(command["stdout"])), command["command"]
        assert facts(ended.line) == facts(command.get("stderr", ""))
