"""Whether this CPU trains a network faster in bfloat16: ten steps in either precision, on the run's own network.

The steps are whole ones (forward, assignment, losses, backward, optimizer) on noise of the training size. Loading is
left out: a run that waits for its images gains less.
"""

import ctypes
import time
from dataclasses import replace

import torch

from yolox_core.collectives import World
from yolox_core.config import Precision, Recipe
from yolox_core.data.batch import Batch, Targets
from yolox_core.loss.simota import SimOTA
from yolox_core.model.yolox import build_model
from yolox_core.training.optim import training_mode
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState
from yolox_core.training.step import Stepper

STEPS = 10
OBJECTS = 4  # in each image


def bfloat16_speedup(recipe: Recipe, images: int, threads: int, steps: int = STEPS) -> float:
    """The speedup of bfloat16 over float32 for a step of `images` images, with `threads` CPU threads.

    `steps` steps of either precision are timed in turns, after one step each that is not counted. The fastest of each
    are compared: other load on the machine makes a step slower, never faster.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = _in_turns(recipe, images, 1 + steps)[1:]
    finally:
        torch.set_num_threads(before)
        if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
            library.malloc_trim(0)  # the GNU C library would keep gigabytes for this process
    float32_s, bfloat16_s = (min(row[column] for row in seconds) for column in (0, 1))
    return float32_s / bfloat16_s


def _in_turns(recipe: Recipe, images: int, steps: int) -> list[list[float]]:
    """Seconds of `steps` steps: a row each, of float32 and bfloat16."""
    batch = _noise(images, recipe.train.input_size, recipe.model.num_classes)
    steppers = [_stepper(recipe, "float32"), _stepper(recipe, "bfloat16")]
    return [[_seconds(stepper, batch) for stepper in steppers] for _ in range(steps)]


def _stepper(recipe: Recipe, precision: Precision) -> Stepper:
    recipe = replace(recipe, train=replace(recipe.train, precision=precision))
    model = build_model(recipe.model, recipe.seed)
    model.to(memory_format=torch.channels_last)
    state, device = TrainingState.fresh(model, recipe), torch.device("cpu")
    training_mode(model, recipe.train)
    return Stepper(recipe, state, model, SimOTA(recipe.assign), World(), device, PhaseTimer(device))


def _seconds(stepper: Stepper, batch: Batch) -> float:
    began = time.perf_counter()
    stepper([batch], stepper.recipe.train.learning_rate * 1e-3, use_l1=False)
    return time.perf_counter() - began


def _noise(images: int, size: tuple[int, int], num_classes: int) -> Batch:
    """[images, 3, height, width] of noise with boxes of a quarter of its sides."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    corners_BG2 = torch.rand(images, OBJECTS, 2, generator=generator) * torch.tensor([width, height]) * 0.7
    boxes_BG4 = torch.cat((corners_BG2, corners_BG2 + torch.tensor([width, height]) * 0.25), dim=2)
    labels_BG = torch.randint(num_classes, (images, OBJECTS), generator=generator)
    valid_BG = torch.ones(images, OBJECTS, dtype=torch.bool)
    targets = Targets(boxes_BG4, labels_BG, valid_BG, ~valid_BG, any_ignored=False)
    images_BCHW = torch.randint(256, (images, 3, height, width), generator=generator, dtype=torch.uint8)
    return Batch(images_BCHW, targets, tuple(range(images)), ((height, width),) * images, (1.0,) * images)
