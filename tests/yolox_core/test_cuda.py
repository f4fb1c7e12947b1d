"""The core on a GPU: the same assignments as on a CPU, runs that repeat, training that resumes, boxes that agree."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.yolox_core.training.small import scenes, small_job, small_recipe
from yolox_core.config import ASSIGN_RULES, AssignConfig, AssignRule, DetectorSpec, Recipe
from yolox_core.data.image_io import read_image
from yolox_core.inference.predictor import Predictor
from yolox_core.loss.detection_loss import detection_loss
from yolox_core.loss.simota import SimOTA
from yolox_core.model.weights import release
from yolox_core.model.yolox import build_model
from yolox_core.training import checkpoint
from yolox_core.training.engine import EpochReport, TrainingJob, train

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


@pytest.mark.parametrize("rule", ASSIGN_RULES)
@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_that_of_a_cpu(rule: AssignRule, seed: int) -> None:
    from benchmarks.assignment import draw

    assign = SimOTA(AssignConfig(rule))
    on_cpu, on_cuda = assign(*draw(8, (0, 60), "cpu", seed)), assign(*draw(8, (0, 60), "cuda", seed))
    # logarithms differ in the last bit, which decides between points that cost the same
    differing = (on_cuda.matched_gt_BA.cpu() != on_cpu.matched_gt_BA).sum()
    assert on_cpu.foreground_BA.sum() > 500 and differing <= 4
    assert torch.equal(on_cuda.k_BG.cpu(), on_cpu.k_BG)


def test_losses_are_those_of_a_cpu() -> None:
    from benchmarks.assignment import draw

    sums = []
    for device in ("cpu", "cuda"):
        boxes, raw, targets, points = draw(4, (1, 20), device)
        given = SimOTA(AssignConfig())(boxes, raw, targets, points)
        sums.append(torch.stack(detection_loss(raw, boxes, targets, given, points, use_l1=True).parts).cpu())
    assert torch.allclose(*sums, rtol=1e-4)


def trained(folder: Path, recipe: Recipe, **options: Any) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    checkpoints = folder / "checkpoints"
    *_, last = train(small_job(folder, recipe, device=CUDA, checkpoints=checkpoints, **options))
    assert isinstance(last, EpochReport)
    found = checkpoint.newest(checkpoints)
    assert found.content is not None
    return list(last.history), found.content["model"]


def exact_recipe(**train_options: Any) -> Recipe:
    return small_recipe(deterministic=True, **train_options)


def test_deterministic_training_repeats_to_the_bit(tmp_path: Path) -> None:
    histories, weights = zip(*(trained(tmp_path / name, exact_recipe()) for name in ("a", "b")), strict=True)
    assert histories[0] == histories[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, expected = trained(tmp_path / "whole", exact_recipe())
    folder = tmp_path / "parts"
    running: Any = train(small_job(folder, exact_recipe(), device=CUDA, checkpoints=folder / "checkpoints"))
    for report in running:
        if isinstance(report, EpochReport) and report.row["epoch"] == 1:
            break
    running.close()
    history, weights = trained(folder, exact_recipe(), loader_workers=2)
    assert history == whole
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("options", [{}, {"compile": True}, {"precision": "float32"}], ids=str)
def test_an_epoch_goes_as_on_a_cpu(tmp_path: Path, options: dict[str, Any]) -> None:
    """Three steps at one size; later ones differ as rounding grows."""
    recipe = small_recipe(augment={"multiscale": None}, micro_batch_size=None, **options)
    there = first_epoch(small_job(tmp_path, recipe, device=CUDA, loader_workers=2))
    plain = replace(recipe, train=replace(recipe.train, compile=False))
    here = first_epoch(small_job(tmp_path, plain))
    assert there.row["loss"] == pytest.approx(here.row["loss"], rel=0.05)  # bfloat16, and the order of sums
    shares = {name: value for name, value in there.timing.items() if name.startswith("share/")}
    assert all(shares[f"share/{phase}"] > 0 for phase in ("forward", "assign", "loss", "backward", "optimizer"))


def first_epoch(job: TrainingJob) -> EpochReport:
    return next(report for report in train(job) if isinstance(report, EpochReport))


def test_the_predictor_says_what_a_cpu_says(tmp_path: Path) -> None:
    records = scenes(tmp_path)
    config = small_recipe(len(records.categories)).model
    spec = DetectorSpec(config, records.class_names, records.category_ids, (96, 96))
    release(tmp_path / "released", build_model(config), spec)
    there, here = (Predictor.load(tmp_path / "released", device) for device in ("cuda", "cpu"))
    for image in records.images[:4]:
        pixels = read_image(records.image_root / image.file_name)
        assert np.allclose(there.decoded(pixels), here.decoded(pixels), rtol=1e-3, atol=1e-2)
