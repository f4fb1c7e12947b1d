"""What other programs read keeps its names: keys of files, codes of findings, exit codes.

A new key or code may come; one of these may not go, nor mean something else. They stand here letter by letter, so that
no change of the code changes them along.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.convert import convert
from pipeline.config import paths
from pipeline.config.settings import load_settings
from pipeline.data.checks.catalog import CATALOG, SEVERITIES
from pipeline.data.coco.coco import read_coco
from pipeline.stages import evaluate
from tests.data_foreign.reading import Said, doctor
from tests.data_zoo.zoo import Coco
from yolox_core.config import DetectorSpec, Recipe
from yolox_core.model.description import read_spec
from yolox_core.training import checkpoint
from yolox_core.training.engine import EpochReport, TrainingJob, train

SUMMARY = [
    "images",
    "images_without_objects_share",
    "boxes",
    "boxes_per_class",
    "object_size_px",
    "findings",
    "findings_by_code",
    "list",
]
FINDING = ["code", "where", "what", "action", "images", "severity"]
CHANGE = ["code", "where", "what", "change"]
CODES = [
    "unreadable-annotation",
    "missing-image",
    "image-without-annotation",
    "image-without-labels",
    "duplicate-annotation",
    "several-annotations",
    "several-labels",
    "shape-without-box",
    "box-turned",
    "split-conflict",
    "crowd-not-said",
    "box-beyond-image",
    "duplicate-image-id",
    "duplicate-image-entry",
    "unknown-image",
    "unknown-class",
    "no-class-names",
    "unknown-name-in-list",
    "box-not-numbers",
    "box-from-outline",
    "unreadable-image",
    "truncated-image",
    "size-wrong",
    "size-transposed",
    "size-scaled",
    "image-mislabelled",
    "image-animated",
    "image-enormous",
    "image-16-bit",
    "image-cmyk",
    "image-palette",
    "image-alpha",
    "image-grayscale",
    "image-rotated",
    "image-duplicate",
    "copies-differ",
    "image-similar",
    "duplicate-across-splits",
    "similar-across-splits",
    "box-not-finite",
    "box-inverted",
    "box-without-area",
    "box-outside",
    "box-clipped",
    "box-duplicate",
    "box-twice-named",
    "box-covers-all",
    "box-tiny",
    "crowd",
    "category-id-gaps",
    "class-names-alike",
    "class-unused",
    "class-not-in-split",
    "imbalance",
    "few-objects",
    "too-crowded",
    "too-small-for-input",
]
METRICS = ["map", "map_50", "map_75", "map_small", "ar_1", "ar_10", "ar_100", "class/disc/map", "images", "boxes"]
DETECTION = ["file_name", "image_id", "category_id", "category_name", "bbox", "score"]
HISTORY = [
    "epoch",
    "step",
    "loss",
    "loss/iou",
    "loss/objectness",
    "loss/class",
    "loss/l1",
    "assign/positives_per_object",
    "assign/unmatched",
    "learning_rate",
]
MODEL = ["format_version", "architecture", "class_names", "category_ids", "input_size", "thresholds", "preprocessing"]
MODEL_PARTS = {
    "architecture": ["num_classes", "width", "depth", "depthwise"],
    "thresholds": ["confidence", "nms_iou"],
    "preprocessing": ["color", "range", "letterbox", "pad", "interpolation"],
}


def damaged(root: Path) -> Path:
    """Four images, two splits, a box without area and an entry of an image that is not there."""
    root.mkdir()
    made = Coco(root)
    for entry, split in zip(made.images, ("train", "train", "val", "test"), strict=True):
        entry["split"] = split
    made.add("lost.jpg", None)
    made.box(1, [40, 10, 0, 10])
    made.write()
    return root


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, Path]:
    """What the doctor says of it, and the copy that it repairs."""
    root = tmp_path_factory.mktemp("names")
    return doctor(damaged(root / "set"), root / "fixed"), root / "fixed"


def test_the_keys_of_doctor_json(said: tuple[Said, Path]) -> None:
    summary = said[0].summary
    assert set(SUMMARY) <= summary.keys()
    assert all(set(FINDING) <= entry.keys() for entry in summary["list"])
    assert (summary["images"], summary["boxes"]) == (4, 8) and summary["boxes_per_class"] == {"cat": 4, "dog": 4}
    assert list(summary["object_size_px"]) == ["p0", "p10", "p50", "p90", "p100"]
    expected = {"missing-image": 1, "box-without-area": 1}
    assert expected.items() <= summary["findings_by_code"].items()
    assert sum(summary["findings_by_code"].values()) == summary["findings"] == len(summary["list"])


def test_the_codes_of_findings_and_how_bad_they_are() -> None:
    assert set(CODES) <= set(CATALOG) and SEVERITIES == ("error", "warning", "note")
    errors = {"missing-image", "unknown-class", "box-inverted", "duplicate-across-splits", "unreadable-image"}
    warnings = {"box-clipped", "class-unused", "image-duplicate", "size-wrong", "image-without-annotation"}
    assert {CATALOG[code].severity for code in errors} == {"error"}
    assert {CATALOG[code].severity for code in warnings} == {"warning"}


def test_the_names_of_the_repaired_copy(said: tuple[Said, Path]) -> None:
    fixed = said[1]
    assert {path.name for path in fixed.iterdir()} == {"annotations.json", "changes.json", "images"}
    assert all(set(CHANGE) <= entry.keys() for entry in load(fixed / "changes.json"))


def test_the_coco_file_that_convert_writes(said: tuple[Said, Path], tmp_path: Path) -> None:
    convert(said[1], tmp_path / "out", "coco")
    written = load(tmp_path / "out" / "annotations.json")
    assert list(written) == ["images", "annotations", "categories"]
    assert [entry["split"] for entry in written["images"]] == ["train", "train", "val", "test"]
    assert {"id", "file_name", "height", "width", "split"} <= written["images"][0].keys()
    assert list(written["annotations"][0]) == ["id", "image_id", "category_id", "bbox", "area", "iscrowd"]
    assert [list(entry) for entry in written["categories"]] == [["id", "name"]] * 2
    assert all((tmp_path / "out" / "images" / entry["file_name"]).is_file() for entry in written["images"])


def test_the_files_that_convert_writes_as_yolo(said: tuple[Said, Path], tmp_path: Path) -> None:
    convert(said[1], tmp_path / "out", "yolo")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"images", "labels", "data.yaml", "train.txt", "val.txt", "test.txt"}


@pytest.mark.parametrize(("state", "expected"), [("sound", 0), ("damaged", 1), ("empty", 2)])
def test_exit_codes_of_doctor(tmp_path: Path, state: str, expected: int) -> None:
    root = tmp_path / "set"
    if state == "damaged":
        damaged(root)
    else:
        root.mkdir()
    if state == "sound":
        Coco(root).write()
    command = [sys.executable, "-m", "pipeline.cli", "doctor", str(root)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr
    assert expected < 2 or done.stderr.startswith("error: ")


def test_the_figures_and_detections_of_evaluate(earlier: Path) -> None:
    evaluate.run(load_settings())
    assert set(METRICS) <= load(paths.METRICS).keys()
    found = load(paths.DETECTIONS)
    assert found and {tuple(entry) for entry in found} == {tuple(DETECTION)}


def test_the_rows_of_history(earlier: Path) -> None:
    """Of an epoch more of the release before's run; the driver writes them as they come."""
    folder = paths.RUNS / load(paths.TRAINING)["run"] / "checkpoints"
    content = checkpoint.newest(folder).content
    assert content is not None
    recipe, spec = Recipe.from_dict(content["recipe"]), DetectorSpec.from_dict(content["spec"])
    longer = dataclasses.replace(recipe.train, closing_epochs=recipe.train.closing_epochs + 1)
    records = read_coco(paths.prepared("train"), paths.RAW_IMAGES)
    *_, ended = train(TrainingJob(dataclasses.replace(recipe, train=longer), spec, records, checkpoints=folder))
    assert isinstance(ended, EpochReport) and set(HISTORY) <= ended.row.keys()


def test_the_keys_of_model_json(earlier: Path) -> None:
    written = read_spec(paths.RELEASED).to_dict()
    assert written == load(paths.RELEASED_SPEC)
    assert list(written) == MODEL
    assert {part: list(written[part]) for part in MODEL_PARTS} == MODEL_PARTS


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
