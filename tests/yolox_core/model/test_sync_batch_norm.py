"""N workers that share batch-norm statistics are one worker to rounding: real processes, joined by Gloo.

The global batch is the same 12 images. In float64 the losses of three steps and the first gradients agree to 1e-9;
in float32 the first step's losses to 1e-5, with the same assignments. Rounding grows on its way back to the stem, a few
thousand times, and again with each step.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.data.synthetic.scenes import render
from tests.yolox_core.batches import training_batches
from tests.yolox_core.processes import in_processes
from yolox_core.collectives import World
from yolox_core.config import AugmentConfig, ModelConfig, Recipe, TrainConfig
from yolox_core.data.dataset import SampleKey, TrainingSet
from yolox_core.data.epoch_plan import epoch_plan, shard, training_sizes
from yolox_core.data.records import DatasetRecords
from yolox_core.loss.assign_stats import assignment_counts
from yolox_core.loss.detection_loss import PART_NAMES
from yolox_core.loss.simota import SimOTA
from yolox_core.model.sync_batch_norm import SyncBatchNorm, synchronize
from yolox_core.model.yolox import build_model
from yolox_core.training import step
from yolox_core.training.optim import training_mode
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState
from yolox_core.training.step import TOTALS, Stepper

BATCH, STEPS = 12, 3
COUNTS = slice(len(PART_NAMES), len(TOTALS))


def pieces_of(keys: list[SampleKey], micro: int | None, workers: int) -> list[list[SampleKey]]:
    """This worker's micro-batches; a lone one that stands for `workers` gets what they compute at the same time."""
    world = World.current()
    ranks = range(workers) if world.size == 1 else [world.rank]
    shares = [shard(keys, rank, workers) for rank in ranks]
    size = len(shares[0]) if micro is None else micro // workers
    return [[key for share in shares for key in share[at : at + size]] for at in range(0, len(shares[0]), size)]


def steps(records: DatasetRecords, double: bool, micro: int | None, workers: int) -> list[dict[str, torch.Tensor]]:
    """Sums, gradients and running statistics of three SGD steps, on one of `workers`, or on one that stands for all."""
    if double:
        compute_in_float64()
    world, device = World.current(), torch.device("cpu")
    recipe = Recipe(
        ModelConfig(num_classes=5, width=0.125),
        augment=AugmentConfig(mosaic=0.5),
        train=TrainConfig(batch_size=BATCH, input_size=(64, 64), clip_norm=None),
    )
    state = TrainingState.fresh(build_model(recipe.model, seed=2).to(torch.get_default_dtype()), recipe)
    synchronize(state.model, world)
    training_mode(state.model, recipe.train)
    model = world.data_parallel(state.model)
    stepper = Stepper(recipe, state, model, SimOTA(recipe.assign), world, device, PhaseTimer(device))
    dataset = TrainingSet(records, recipe.augment, recipe.seed)
    sizes = training_sizes(recipe.train.input_size, None)
    plan = epoch_plan(len(records.images), BATCH, epoch=0, seed=recipe.seed, sizes=sizes, closing=False)
    results = []
    for keys in plan[:STEPS]:
        pieces = pieces_of(keys, micro, workers)
        totals = stepper(list(training_batches(dataset, pieces, 0)), learning_rate=0.001, use_l1=True)
        gradients = {name: parameter.grad.clone() for name, parameter in state.model.named_parameters()}
        buffers = {name: buffer.clone() for name, buffer in state.model.named_buffers() if buffer.is_floating_point()}
        results.append({"totals": totals.clone(), **gradients, **buffers})
    return results


def compute_in_float64() -> None:
    """This process casts to float64 wherever the engine casts to float32; counts excepted, which are exact."""
    single = torch.Tensor.float

    def counts(*arguments: Any) -> torch.Tensor:
        torch.Tensor.float = single  # type: ignore[method-assign]
        try:
            return assignment_counts(*arguments)
        finally:
            torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]

    torch.set_default_dtype(torch.float64)
    step.assignment_counts = counts  # type: ignore[attr-defined]
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> DatasetRecords:
    return render(tmp_path_factory.mktemp("scenes"), BATCH * STEPS, seed=6)


def agree(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], losses: float, others: float) -> None:
    assert found.keys() == expected.keys()
    assert found["totals"][COUNTS].tolist() == expected["totals"][COUNTS].tolist()  # the same assignments
    largest = max(float(tensor.norm()) for name, tensor in expected.items() if name != "totals")
    for name, tensor in expected.items():
        distance = float((found[name] - tensor).norm())
        # a gradient that nearly cancels out is as exact as its summands, not as itself
        assert distance <= (losses if name == "totals" else others) * max(float(tensor.norm()), 1e-3 * largest), name


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("micro", [None, 6])
def test_workers_equal_one_in_float64(records: DatasetRecords, tmp_path: Path, workers: int, micro: int | None) -> None:
    one = in_processes(steps, tmp_path / "one", records, True, micro, workers, workers=1)[0]
    several = in_processes(steps, tmp_path / "several", records, True, micro, workers, workers=workers)
    assert len(one) == STEPS and float(one[0]["totals"][len(PART_NAMES)]) > 10
    for of_rank in several:
        agree(of_rank[0], one[0], losses=1e-9, others=1e-9)
        for found, expected in zip(of_rank[1:], one[1:], strict=True):
            agree(found, expected, losses=1e-9, others=1e-6)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_first_step_in_float32(records: DatasetRecords, tmp_path: Path, workers: int) -> None:
    one = in_processes(steps, tmp_path / "one", records, False, None, workers, workers=1)[0]
    for of_rank in in_processes(steps, tmp_path / "several", records, False, None, workers, workers=workers):
        agree(of_rank[0], one[0], losses=1e-5, others=5e-3)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_one_worker_normalizes_as_torch_does(kind: torch.dtype, tolerance: float) -> None:
    """Also channels whose mean is large beside their deviation, and inputs in bfloat16 with weights in float32."""
    torch.manual_seed(0)
    images = (torch.randn(4, 8, 20, 20, dtype=kind) * 3 + 100).contiguous(memory_format=torch.channels_last)
    grad = torch.randn(4, 8, 20, 20, dtype=kind)
    weights = torch.float64 if kind == torch.float64 else torch.float32
    results: list[list[Any]] = []
    for synced in (False, True):
        layer = nn.BatchNorm2d(8, eps=1e-3, momentum=0.03, dtype=weights)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(0.5, 2, 8))
            layer.bias.copy_(torch.linspace(-1, 1, 8))
        used = SyncBatchNorm.of(layer, World()) if synced else layer
        given = images.clone().requires_grad_()
        normalized = used(given)
        normalized.backward(grad)
        assert normalized.dtype == kind and used.state_dict().keys() == layer.state_dict().keys()
        assert used.weight is layer.weight and used.running_mean is layer.running_mean
        results.append([normalized, given.grad, layer.weight.grad, layer.bias.grad, *layer.buffers()])
    statistics = min(tolerance, 2e-6)  # in float32 at least, whatever the images are
    tolerances = [tolerance] * 4 + [statistics] * 3
    for theirs, ours, allowed in zip(*results, tolerances, strict=True):
        assert float((ours - theirs).double().norm()) <= allowed * float(theirs.double().norm())
    used.eval()
    assert torch.equal(used(images), layer.eval()(images))


def test_alone_nothing_is_replaced() -> None:
    model = build_model(ModelConfig(num_classes=1, width=0.125))
    synchronize(model, World())
    assert not any(isinstance(module, SyncBatchNorm) for module in model.modules())
