"""A run's identity: what can change its bits changes it, and nothing else does."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.code_digest import code_digest
from pipeline.training.identity import ENGINE, engine_digest, identity, records_digest
from tests.architecture.imports import closure, modules
from tests.architecture.lines import lines_of_code
from tests.needs import ROOT
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.structures import Objects

STATEMENT = "\n\nEDITED = 1\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages, to be edited."""
    root = tmp_path_factory.mktemp("tree")
    for package in ("yolox_core", "pipeline"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "project"))
    return root


def edited(tree: Path, tmp_path: Path, name: str, old: str, new: str) -> str:
    """The engine's digest in a copy of the tree with one edit."""
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    text = (copy / name).read_text(encoding="utf-8")
    assert old in text
    (copy / name).write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
    return code_digest(ENGINE, copy)


@pytest.mark.parametrize(
    "name",
    [
        "yolox_core/training/engine.py",
        "yolox_core/training/step.py",
        "yolox_core/training/schedule.py",
        "yolox_core/loss/detection_loss.py",
        "yolox_core/loss/simota.py",
        "yolox_core/data/loader.py",
        "yolox_core/data/augment.py",
        "yolox_core/data/albumentations.py",  # imported where it is used
        "yolox_core/model/blocks.py",
        "yolox_core/evaluation/evaluator.py",  # decides which epoch is the best
        "yolox_core/config.py",
    ],
)
def test_an_edit_of_what_trains_is_another_run(tree: Path, tmp_path: Path, name: str) -> None:
    assert edited(tree, tmp_path, name, "", STATEMENT) != engine_digest()


def test_another_default_is_another_run(tree: Path, tmp_path: Path) -> None:
    assert edited(tree, tmp_path, "yolox_core/config.py", "ema_decay: float = ", "ema_decay: float = 0.5 * ") != (
        engine_digest()
    )


@pytest.mark.parametrize(
    "name",
    [
        "pipeline/data/formats/cvat.py",
        "pipeline/data/checks/doctor.py",
        "pipeline/data/coco/coco.py",
        "pipeline/reports/page.py",
        "pipeline/training/worker.py",  # the heartbeat
        "pipeline/training/driver.py",
        "yolox_core/export/onnx.py",
        "yolox_core/inference/predictor.py",
    ],
)
def test_an_edit_of_anything_else_is_the_same_run(tree: Path, tmp_path: Path, name: str) -> None:
    assert edited(tree, tmp_path, name, "", STATEMENT) == engine_digest()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("yolox_core/training/engine.py", '"""', '"""Reworded. '),
        ("yolox_core/training/engine.py", "", "\n# a comment\n"),
        ("yolox_core/loss/simota.py", '"""', '"""Reworded. '),
    ],
)
def test_a_docstring_or_comment_is_the_same_run(tree: Path, tmp_path: Path, name: str, old: str, new: str) -> None:
    assert edited(tree, tmp_path, name, old, new) == engine_digest()


def test_the_engine_loads_no_module_of_ours_by_a_text() -> None:
    """Such a module would not be among those that are hashed. `yolox_core` itself does, for its public names."""
    loaded = {
        name: re.findall(r"import_module\((.*)\)|__import__\((.*)\)", modules()[name].read_text(encoding="utf-8"))
        for module in ENGINE
        for name in closure(module) - {"yolox_core"}
    }
    assert [found for found in loaded.values() if found] == [[('"torch._dynamo"', "")]]


def test_most_of_the_code_is_not_hashed() -> None:
    """An edit of what does not train must not make a run another one."""
    lines = {name: lines_of_code(path.read_text(encoding="utf-8")) for name, path in modules().items()}
    hashed = {name for module in ENGINE for name in closure(module)}
    assert 1000 < sum(lines[name] for name in hashed) < sum(lines.values()) / 4


OBJECTS = Objects.of([((1, 2, 30, 40), 0, False), ((5, 6, 20, 30), 1, False)])


def records(**changes: Any) -> DatasetRecords:
    """Two images of two classes; `changes` are of the first image."""
    first = ImageRecord(1, "a.jpg", 100, 200, OBJECTS)
    second = ImageRecord(2, "b.jpg", 50, 60)
    return DatasetRecords(Path("images"), (Category(1, "cat"), Category(2, "dog")), [replace(first, **changes), second])


CONTENT = {"a.jpg": "aa", "b.jpg": "bb", "c.jpg": "aa"}


@pytest.mark.parametrize(
    "changes",
    [
        {"objects": OBJECTS.moved(np.array([[1, 2, 30, 40.5], [5, 6, 20, 30]]))},
        {"objects": OBJECTS.moved(OBJECTS.boxes_G4[::-1])},
        {"objects": OBJECTS.labelled(np.array([1, 0]))},
        {"objects": replace(OBJECTS, ignore_G=np.array([False, True]))},
        {"width": 201},
        {"file_name": "b.jpg"},  # other content
        {"image_id": 9},  # after the second one: metrics go by the order of ids
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_records_are_another_run(changes: dict[str, Any]) -> None:
    assert records_digest(records(**changes), CONTENT) != records_digest(records(), CONTENT)


def test_the_order_of_images_and_the_classes_count() -> None:
    plain = records()
    turned = replace(plain, images=list(reversed(plain.images)))
    renamed = replace(plain, categories=(Category(1, "cat"), Category(2, "fox")))
    assert len({records_digest(each, CONTENT) for each in (plain, turned, renamed)}) == 3


def test_names_and_places_do_not_count() -> None:
    moved = replace(records(file_name="c.jpg", image_id=0, annotation="c.xml", split="train"), image_root=Path("x"))
    assert records_digest(moved, CONTENT) == records_digest(records(), CONTENT)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {"seed": 1}},
        {"records": {"train": "u", "val": "w"}},
        {"weights": "w"},
        {"search": ["grid"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_part_of_an_identity_counts(changes: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"recipe": {"seed": 0}, "records": {"train": "t", "val": "v"}, "weights": None}
    assert identity(**{**plain, **changes}) != identity(**plain)
    assert identity(**plain) == identity(**plain)
