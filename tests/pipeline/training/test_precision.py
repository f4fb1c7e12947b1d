"""In which precision a run trains: decided by a measurement, once, and only where it may be."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.training import precision
from pipeline.training.identity import identity
from pipeline.training.precision import FILE, facts, of_begun, settled
from tests.yolox_core.training.small import small_recipe
from yolox_core.config import Recipe
from yolox_core.errors import InputError
from yolox_core.inference import processor
from yolox_core.training import precision as measurement

RECIPE = small_recipe(epochs=200)  # of 4 images a step
IMAGES = 10


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[tuple[int, int]]]:
    """A CPU with AMX, on which that is so many times as fast; the measurements asked for."""

    def plant(speedup: float) -> list[tuple[int, int]]:
        asked: list[tuple[int, int]] = []

        def measure(recipe: Recipe, images: int, threads: int) -> float:
            asked.append((images, threads))
            return speedup

        monkeypatch.setattr(measurement, "bfloat16_speedup", measure)
        monkeypatch.setattr(precision, "computes_bfloat16", lambda: True)
        return asked

    return plant


def folders(root: Path) -> Callable[[Recipe], Path]:
    return lambda recipe: root / identity(recipe.to_dict(), {}, None)


def taken(root: Path, recipe: Recipe = RECIPE, **compute: Any) -> str:
    return settled(recipe, IMAGES, ComputeConfig(**compute), folders(root)).train.precision


def test_bfloat16_is_taken_where_it_is_faster(
    tmp_path: Path, measured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = measured(1.15)
    assert taken(tmp_path, threads=3, workers=2) == "bfloat16"
    assert asked == [(2, 3)]  # a micro-batch, a worker's threads
    first, second = capsys.readouterr().out.splitlines()
    assert first == "train: measuring bfloat16: ten steps in either precision"
    assert second == "train: bfloat16; bfloat16 is 1.15 times as fast as float32 on this CPU"
    mixed = dataclasses.replace(RECIPE, train=dataclasses.replace(RECIPE.train, precision="bfloat16"))
    kept = folders(tmp_path)(mixed)
    assert kept != folders(tmp_path)(RECIPE)
    assert json.loads((kept / FILE).read_text())["bfloat16_speedup"] == 1.15
    assert facts(kept, mixed, gpu=False) == {"precision": "bfloat16", "bfloat16_speedup": 1.15}


def test_float32_stays_where_it_is_not(tmp_path: Path, measured: Any) -> None:
    measured(1.14)
    assert taken(tmp_path) == "auto"
    run = folders(tmp_path)(RECIPE)
    assert facts(run, RECIPE, gpu=False) == {"precision": "float32", "bfloat16_speedup": 1.14}


@pytest.mark.parametrize(("first", "then"), [(2.0, 0.5), (0.5, 2.0)])
def test_what_was_taken_is_kept(tmp_path: Path, measured: Any, first: float, then: float) -> None:
    """Also where the run was killed before its first checkpoint, and on a machine that is busy now."""
    measured(first)
    before = taken(tmp_path)
    asked = measured(then)
    assert taken(tmp_path) == before
    assert asked == []


@pytest.mark.parametrize("compute", [{}, {"gpu": True}, {"address": "10.0.0.1:6379"}])
def test_what_was_taken_is_kept_on_another_machine(
    tmp_path: Path, measured: Any, monkeypatch: pytest.MonkeyPatch, compute: dict[str, Any]
) -> None:
    """Where runs/ is shared or was copied: the CPU has no AMX, or others train."""
    measured(2.0)
    assert taken(tmp_path) == "bfloat16"
    asked = measured(0.5)
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    assert taken(tmp_path, **compute) == "bfloat16"
    assert asked == []


@pytest.mark.parametrize("first", [2.0, 0.5])
def test_what_was_taken_is_kept_where_only_the_checkpoints_are_left(
    tmp_path: Path, measured: Any, first: float
) -> None:
    """As on a machine that replaces one that was lost."""
    store = f"file://{tmp_path / 'store'}"
    measured(first)
    recipe = settled(RECIPE, IMAGES, ComputeConfig(), folders(tmp_path / "lost"))
    kept = tmp_path / "store" / folders(tmp_path)(recipe).name / "epoch_00001.pt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    asked = measured(2.5 - first)
    assert settled(RECIPE, IMAGES, ComputeConfig(checkpoints=store), folders(tmp_path / "new")) == recipe
    assert asked == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_measurement_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=r"precision\.json: expected JSON with bfloat16_speedup"):
        facts(tmp_path, RECIPE, gpu=False)


def test_a_run_of_before_is_resumed_as_it_was(tmp_path: Path, measured: Any) -> None:
    asked = measured(2.0)
    checkpoint = folders(tmp_path)(RECIPE) / "checkpoints/epoch_00001.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert taken(tmp_path) == "auto"
    assert asked == []


def test_a_list_of_runs_measures_nothing_and_knows_what_was_taken(tmp_path: Path, measured: Any) -> None:
    asked = measured(2.0)
    assert of_begun(RECIPE, IMAGES, ComputeConfig(), folders(tmp_path)) == RECIPE
    assert asked == []
    run = settled(RECIPE, IMAGES, ComputeConfig(), folders(tmp_path))
    assert of_begun(RECIPE, IMAGES, ComputeConfig(), folders(tmp_path)) == run != RECIPE


@pytest.mark.parametrize(
    ("train", "compute"),
    [
        ({"precision": "float32"}, {}),
        ({"precision": "bfloat16"}, {}),
        ({"compile": True}, {}),  # measured without it, it would be another network
        ({"epochs": 100}, {}),  # 300 steps
        ({}, {"gpu": True}),
        ({}, {"address": "10.0.0.1:6379"}),  # the nodes' CPUs may be others
    ],
)
def test_nothing_is_measured_where_there_is_no_choice(
    tmp_path: Path, measured: Any, train: dict[str, Any], compute: dict[str, Any]
) -> None:
    asked = measured(2.0)
    recipe = dataclasses.replace(RECIPE, train=dataclasses.replace(RECIPE.train, **train))
    assert taken(tmp_path, recipe, **compute) == recipe.train.precision
    assert asked == []
    assert not list(tmp_path.iterdir())


def test_a_cpu_without_instructions_for_it_is_not_measured(
    tmp_path: Path, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measured(2.0)
    monkeypatch.setattr(precision, "computes_bfloat16", lambda: False)
    assert taken(tmp_path) == "auto"
    assert asked == []


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu amx_tile amx_bf16", True), ("avx512f avx512_bf16", False), ("avx2", False)]
)
def test_the_instructions_are_those_that_the_system_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, has: bool
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel name\t: A CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: none\n")
    monkeypatch.setattr(processor, "CPU_INFO", info)
    assert processor.computes_bfloat16.__wrapped__() == has


def test_what_a_gpu_takes_is_named(tmp_path: Path) -> None:
    assert facts(tmp_path, RECIPE, gpu=True) == {"precision": "bfloat16", "bfloat16_speedup": None}
