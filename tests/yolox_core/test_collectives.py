"""Two workers take the step that one would take: the same losses, gradients and weights.

With batch norm frozen, because its statistics are each worker's own. Two real processes, each with its share of the
same global batch; among the cases one whose second worker has images without any object.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing import ProcessRaisedException

from pipeline.data.synthetic.scenes import render
from tests.yolox_core.batches import training_batches
from tests.yolox_core.processes import in_processes
from yolox_core.collectives import World
from yolox_core.config import AugmentConfig, ModelConfig, Recipe, TrainConfig
from yolox_core.data.dataset import TrainingSet
from yolox_core.data.epoch_plan import epoch_plan, shard, training_sizes
from yolox_core.data.records import DatasetRecords
from yolox_core.loss.simota import SimOTA
from yolox_core.model.yolox import build_model
from yolox_core.structures import Objects
from yolox_core.training.optim import training_mode
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState
from yolox_core.training.step import Stepper

BATCH = 4

# name -> (micro-batch, probability of mosaic, which of the batch have objects)
CASES = {
    "whole shares": (None, 0.0, (True, True, True, True)),
    "micro-batches": (1, 0.0, (True, True, True, True)),
    "mosaic": (2, 1.0, (True, True, True, True)),
    "second worker without objects": (None, 0.0, (True, True, False, False)),
    "nobody has objects": (None, 0.0, (False, False, False, False)),
}


def recipe_of(micro: int | None, mosaic: float) -> Recipe:
    return Recipe(
        ModelConfig(num_classes=5, width=0.125),
        augment=AugmentConfig(mosaic=mosaic),
        train=TrainConfig(
            batch_size=BATCH, micro_batch_size=micro, input_size=(64, 64), freeze_batch_norm=True, clip_norm=None
        ),
    )


def one_step(records: DatasetRecords, case: str) -> dict[str, torch.Tensor]:
    """The first step's sums, gradients and new weights, on one of however many workers there are."""
    world = World.current()
    micro, mosaic, with_objects = CASES[case]
    recipe = recipe_of(micro, mosaic)
    sizes = training_sizes(recipe.train.input_size, None)
    plan = epoch_plan(len(records.images), BATCH, epoch=0, seed=recipe.seed, sizes=sizes, closing=False)[0]
    images = list(records.images)
    for key, keeps in zip(plan, with_objects, strict=True):
        if not keeps:
            images[key.image_index] = dataclasses.replace(images[key.image_index], objects=Objects())
    dataset = TrainingSet(dataclasses.replace(records, images=images), recipe.augment, recipe.seed)
    share = shard(plan, world.rank, world.size)
    step = recipe.train.micro_batch_size or len(share)
    batches = list(training_batches(dataset, [share[at : at + step] for at in range(0, len(share), step)], 0))
    if not all(with_objects):
        assert any(batch.targets.valid_BG.any() for batch in batches) == (any(with_objects) and world.is_first)

    state = TrainingState.fresh(build_model(recipe.model, seed=2), recipe)
    training_mode(state.model, recipe.train)
    model = world.data_parallel(state.model)
    stepper = Stepper(
        recipe, state, model, SimOTA(recipe.assign), world, torch.device("cpu"), PhaseTimer(torch.device("cpu"))
    )
    totals = stepper(batches, learning_rate=0.01, use_l1=True)
    parameters = dict(state.model.named_parameters())
    gradients = {f"gradient {name}": parameter.grad for name, parameter in parameters.items()}
    weights = {f"weight {name}": parameter.detach() for name, parameter in parameters.items()}
    return {"totals": totals, **gradients, **weights}


def work(records: DatasetRecords) -> dict[str, Any]:
    """In each worker: every case, and what else workers do together."""
    world = World.current()
    norm = torch.nn.BatchNorm2d(2)
    norm.running_mean[:] = float(world.rank)
    world.average_buffers(norm)
    return {
        "world": (world.rank, world.size, world.is_first),
        "sum": world.sum(torch.tensor([1.0, float(world.rank)])),
        "gather": world.gather([f"{world.rank}a", f"{world.rank}b"][: 2 - world.rank]),
        "from_first": world.from_first({"map": 0.5} if world.is_first else {}),
        "averaged": norm.running_mean,
        **{case: one_step(records, case) for case in CASES},
    }


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> DatasetRecords:
    return render(tmp_path_factory.mktemp("scenes"), BATCH, seed=6)


@pytest.fixture(scope="module")
def pair(records: DatasetRecords, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(work, tmp_path_factory.mktemp("pair"), records)


@pytest.mark.parametrize("case", CASES)
def test_two_workers_equal_one(records: DatasetRecords, pair: list[dict[str, Any]], case: str) -> None:
    alone, first, second = one_step(records, case), pair[0][case], pair[1][case]
    assert all(torch.equal(first[name], second[name]) for name in first)
    positives = float(alone["totals"][4])
    assert (positives > 3) == any(CASES[case][2])
    assert first["totals"][4:].tolist() == alone["totals"][4:].tolist()  # counts are exact
    torch.testing.assert_close(first["totals"], alone["totals"], rtol=1e-5, atol=0)
    largest = max(float(tensor.norm()) for name, tensor in alone.items() if name.startswith("gradient"))
    assert largest > 0
    for name, expected in alone.items():
        distance = float((first[name] - expected).norm())
        # a gradient that nearly cancels out is as exact as its summands, not as itself
        assert distance <= 1e-5 * max(float(expected.norm()), 1e-3 * largest), name


def test_what_workers_do_together(pair: list[dict[str, Any]]) -> None:
    assert [result["world"] for result in pair] == [(0, 2, True), (1, 2, False)]
    for result in pair:
        assert result["sum"].tolist() == [2.0, 1.0]
        assert result["gather"] == ["0a", "0b", "1a"]
        assert result["from_first"] == {"map": 0.5}
        assert result["averaged"].tolist() == [0.5, 0.5]


def test_alone_everything_is_free() -> None:
    world, model = World.current(), torch.nn.BatchNorm2d(2)
    model.running_mean.fill_(3)
    assert world == World(0, 1)
    assert world.data_parallel(model) is model
    tensor = torch.ones(2)
    assert world.sum(tensor) is tensor and tensor.tolist() == [1.0, 1.0]
    assert world.gather((1, 2)) == [1, 2] and world.from_first("x") == "x"
    world.average_buffers(model)
    assert model.running_mean.tolist() == [3.0, 3.0]


def waits_alone() -> None:
    """The second worker does not come."""
    world = World.current()
    if world.is_first:
        world.sum(torch.zeros(1))


def test_a_worker_that_waits_in_vain_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessRaisedException, match="worker 0 of 2, while all shared a sum"):
        in_processes(waits_alone, tmp_path, timeout_s=3)
