"""A training step: forward, assignment, losses, backward, optimizer and average, beside the reference's own step."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import reference as checkout
from benchmarks.timing import alternate, hardware, seconds
from yolox_core.collectives import World
from yolox_core.config import LossConfig, ModelConfig, Recipe, TrainConfig
from yolox_core.data.batch import Batch, Targets
from yolox_core.data.device_prefetch import on_device
from yolox_core.loss.detection_loss import PART_NAMES
from yolox_core.loss.simota import SimOTA
from yolox_core.model.yolox import build_model
from yolox_core.ops.boxes import xyxy_to_cxcywh
from yolox_core.training.optim import compile_network, training_mode
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState
from yolox_core.training.step import Stepper

CLASSES = 80
LEARNING_RATE = 1e-4
ROUNDS = 7
STEPS = 3  # a round
SETTINGS = {"cpu": ("nano", 416, 8), "cuda": ("s", 640, 64)}  # size, input px, images


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`step_speedup`: YOLOX-nano, 416 px, 8 images on a CPU; YOLOX-s, 640 px, 64 images on CUDA, compiled too."""
    size, side, images = SETTINGS[device]
    batch = draw(images, side)
    if device == "cuda":
        batch = batch.pin_memory()
    stepper = own_step(size, batch, device)
    result: dict[str, Any] = {"hardware": hardware(device), "model": size, "input_px": side, "images": images}
    if reference is None:
        best_s = min(seconds(steps(stepper, batch), device) for _ in range(ROUNDS))
        return result | {"ours_images_per_second": STEPS * images / best_s}
    result["reference"] = checkout.use(reference)
    step = their_step(size, batch, device, stepper.state.model.state_dict())
    totals = stepper([batch], LEARNING_RATE, use_l1=False)
    own_loss = float(totals[: len(PART_NAMES)].sum() / totals[len(PART_NAMES)])
    result |= {"ours_loss": own_loss, "reference_loss": float(step())}

    def theirs() -> None:
        for _ in range(STEPS):
            step()

    ways = {"": stepper} | ({"_compiled": own_step(size, batch, device, compiled=True)} if device == "cuda" else {})
    for name, way in ways.items():
        pair = alternate(steps(way, batch), theirs, ROUNDS, device)
        row = pair.row()
        rates = {f"{whose}_images_per_second": STEPS * images / row[f"{whose}_s"] for whose in ("ours", "reference")}
        result |= {f"step_speedup{name}": pair.speedup, f"step{name}": rates | row}
        way.clock.take()
        steps(way, batch)()
        result[f"phases_ms{name}"] = {phase: 1000 * value / STEPS for phase, value in way.clock.take().items()}
    return result


def steps(stepper: Stepper, batch: Batch) -> Callable[[], None]:
    """A round: some steps, as the engine feeds them."""

    def run() -> None:
        for moved in on_device([batch] * STEPS, stepper.device):
            stepper([moved], LEARNING_RATE, use_l1=False)

    return run


def draw(images: int, side: int, seed: int = 0) -> Batch:
    """Noise with 1 to 20 objects an image: what a step costs does not depend on what is seen."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(12), np.log(side / 2), (images, 20, 2)))
    centers = rng.uniform(0, side, (images, 20, 2))
    valid = np.arange(20) < rng.integers(1, 21, images)[:, None]
    boxes = np.concatenate((centers - sides / 2, centers + sides / 2), -1) * valid[..., None]
    targets = Targets(
        torch.from_numpy(boxes).float(),
        torch.from_numpy(rng.integers(0, CLASSES, (images, 20)) * valid),
        torch.from_numpy(valid),
        torch.zeros(images, 20, dtype=torch.bool),
        any_ignored=False,
    )
    pixels = torch.from_numpy(rng.integers(0, 256, (images, 3, side, side), dtype=np.uint8))
    return Batch(pixels, targets, tuple(range(images)), ((side, side),) * images, (1.0,) * images)


def own_step(size: str, batch: Batch, device: str, compiled: bool = False) -> Stepper:
    """This project's step, as its engine makes it."""
    model_config = ModelConfig.of_size(size, CLASSES)
    train = TrainConfig(batch_size=len(batch.image_ids), learning_rate=LEARNING_RATE)
    recipe = Recipe(model=model_config, loss=LossConfig(), train=train)
    there = torch.device(device)
    model = build_model(model_config, seed=0).to(there, memory_format=torch.channels_last)
    state = TrainingState.fresh(model, recipe)
    training_mode(model, train)
    if compiled:
        compile_network(model, sizes=1)
    return Stepper(
        recipe, state, model, SimOTA(replace(recipe.assign, rule="yolox-2023")), World(), there, PhaseTimer(there)
    )


def their_step(size: str, batch: Batch, device: str, weights: dict[str, Tensor]) -> Callable[[], Tensor]:
    """One call of what Trainer.train_one_iter does between the prefetcher and the meter, from the same weights."""
    from yolox.exp import get_exp
    from yolox.utils import ModelEMA

    with contextlib.redirect_stdout(io.StringIO()):
        exp = get_exp(exp_name=f"yolox-{size}")
        model = exp.get_model().to(device)
        model.load_state_dict(weights)
        model.train()
        optimizer = exp.get_optimizer(len(batch.image_ids))
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE
    mixed = device == "cuda"
    scaler, average = torch.amp.GradScaler(device, enabled=mixed), ModelEMA(model, 0.9998)
    boxes_cxcywh = xyxy_to_cxcywh(batch.targets.boxes_BG4)
    labels = torch.cat((batch.targets.labels_BG[..., None].float(), boxes_cxcywh), dim=-1).to(device)
    images = batch.images_BCHW.to(device)  # its prefetcher copies beside the step, in no time

    def step() -> Tensor:
        inputs = images.to(torch.float16 if mixed else torch.float32)
        targets = labels.to(torch.float16 if mixed else torch.float32)
        with torch.autocast(device, torch.float16, enabled=mixed):
            outputs = model(inputs, targets)
        loss = outputs["total_loss"]
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        average.update(model)
        detached: Tensor = loss.detach()
        return detached

    return step
