"""Measuring bfloat16 on a CPU leaves nothing behind; a run in bfloat16 repeats its bits and resumes with them."""

import itertools
from pathlib import Path

import torch

from tests.yolox_core.training.small import small_job, small_recipe
from yolox_core.training.engine import EpochReport, train
from yolox_core.training.precision import bfloat16_speedup


def test_measuring_changes_neither_threads_nor_random_numbers() -> None:
    threads, numbers = torch.get_num_threads(), torch.get_rng_state()
    speedup = bfloat16_speedup(small_recipe(), images=2, threads=1, steps=2)
    assert 0.001 < speedup < 1000
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), numbers)


def losses(folder: Path, checkpoints: Path, precision: str, epochs: int | None = None) -> list[float]:
    job = small_job(folder, small_recipe(precision=precision), checkpoints=checkpoints)
    reports = (report for report in train(job) if isinstance(report, EpochReport))
    *_, last = itertools.islice(reports, epochs)
    return [row["loss"] for row in last.history]


def test_a_run_in_bfloat16_resumes_with_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    whole = losses(tmp_path / "data", tmp_path / "whole", "bfloat16")
    losses(tmp_path / "data", tmp_path / "cut", "bfloat16", epochs=2)
    assert losses(tmp_path / "data", tmp_path / "cut", "bfloat16") == whole
    exact = losses(tmp_path / "data", tmp_path / "exact", "float32")
    assert whole != exact
    assert abs(whole[0] - exact[0]) < 0.1 * exact[0]
