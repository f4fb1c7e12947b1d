"""A training step asks nothing of the device before it is over: there it would wait for all that was queued before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from tests.yolox_core.batches import training_batches
from tests.yolox_core.training.small import scenes, small_recipe
from yolox_core.collectives import World
from yolox_core.config import ASSIGN_RULES, AssignRule
from yolox_core.data.dataset import TrainingSet
from yolox_core.data.epoch_plan import epoch_plan, training_sizes
from yolox_core.loss.simota import SimOTA
from yolox_core.model.yolox import build_model
from yolox_core.ops import gather
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState
from yolox_core.training.step import Stepper

# what reads a value of the device, or copies a list to it
WAITING = {
    *("item", "tolist", "numpy", "cpu", "nonzero", "masked_select", "unique", "__bool__", "__int__", "__float__"),
    *("__index__", "tensor", "as_tensor", "new_tensor", "equal", "allclose", "is_nonzero", "argwhere"),
}


class NoWaiting(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in WAITING or (name == "__getitem__" and _by_mask(args[1])):
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


def _by_mask(index: Any) -> bool:
    return any(isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in (index, *_parts(index)))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else ()


@contextmanager
def no_waiting(device: str) -> Iterator[None]:
    if device == "cpu":
        with NoWaiting():
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("rule", ASSIGN_RULES)
@pytest.mark.parametrize("closing", [False, True])
def test_a_step_never_waits(
    device: str, rule: AssignRule, closing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "cpu":  # there it asks how many candidates there are, which costs nothing
        monkeypatch.setattr(gather, "_room", lambda count_B, most: most)
    recipe = small_recipe()
    recipe = replace(recipe, assign=replace(recipe.assign, rule=rule))
    there = torch.device(device)
    model = build_model(recipe.model).to(there, memory_format=torch.channels_last)
    state = TrainingState.fresh(model.train(), recipe)
    stepper = Stepper(recipe, state, state.model, SimOTA(recipe.assign), World.current(), there, PhaseTimer(there))
    dataset = TrainingSet(scenes(tmp_path), recipe.augment, recipe.seed)
    plan = epoch_plan(len(dataset), 4, 0, recipe.seed, training_sizes((96, 96), None), closing)
    batches = list(training_batches(dataset, plan[:2], workers=0))
    stepper(batches, 0.01, use_l1=closing)  # libraries wait while they start
    with no_waiting(device):
        totals = stepper(batches, 0.01, use_l1=closing)
    assert torch.isfinite(totals).all() and totals[4] > 0  # positives


def test_the_guard_sees_what_waits() -> None:
    values = torch.arange(3.0)
    for waits in (
        lambda: values.sum().item(),
        lambda: values[values > 1],
        lambda: values.new_tensor([1.0]),
        lambda: bool(values[0] > 0),
        lambda: torch.tensor([1.0]),
    ):
        with pytest.raises(AssertionError, match="waits"), NoWaiting():
            waits()


def test_a_prediction_that_is_no_number_shows_in_the_losses_of_its_step(tmp_path: Path) -> None:
    """Also where no object gets the point: the step would have put it into the weights."""
    recipe = small_recipe()
    model = build_model(recipe.model).train()
    with torch.no_grad():
        model.head.cls_preds[0].bias.fill_(torch.nan)
    state = TrainingState.fresh(model, recipe)
    stepper = Stepper(
        recipe,
        state,
        state.model,
        SimOTA(recipe.assign),
        World.current(),
        torch.device("cpu"),
        PhaseTimer(torch.device("cpu")),
    )
    dataset = TrainingSet(scenes(tmp_path), recipe.augment, recipe.seed)
    plan = epoch_plan(len(dataset), 4, 0, recipe.seed, training_sizes((96, 96), None), False)
    totals = stepper(list(training_batches(dataset, plan[:1], workers=0)), 0.01, use_l1=False)
    assert totals[:4].isnan().all()
