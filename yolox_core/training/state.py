"""Everything that training changes, in one place, so that a checkpoint can be complete."""

from dataclasses import dataclass, field
from typing import Any

import torch

from yolox_core.config import Recipe
from yolox_core.model.yolox import YOLOX
from yolox_core.training.ema import ModelEMA
from yolox_core.training.optim import build_optimizer, freeze


@dataclass
class TrainingState:
    """A run between two epochs."""

    model: YOLOX  # raw weights
    ema: ModelEMA
    optimizer: torch.optim.Optimizer
    closing_start: int  # first epoch of the closing phase; patience may bring it forward
    epoch: int = 0  # the next epoch to train
    step: int = 0  # optimizer steps done
    step_in_epoch: int = 0  # of these in the epoch that was begun; more than 0 only where a run was told to leave
    epoch_totals: list[float] = field(default_factory=list)  # that epoch's sums so far, as step.TOTALS names them
    best_map: float | None = None  # as detection_limit.deciding has it
    best_epoch: int | None = None
    stale: int = 0  # evaluations since the best one
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an epoch; no times, so that it repeats

    @classmethod
    def fresh(cls, model: YOLOX, recipe: Recipe) -> "TrainingState":
        """A run that has not begun; freezes what the recipe wants frozen."""
        freeze(model, recipe.train.freeze)
        return cls(
            model=model,
            ema=ModelEMA(model, recipe.train.ema_decay, recipe.train.ema_warmup),
            optimizer=build_optimizer(model, recipe.train),
            closing_start=recipe.train.epochs - recipe.train.closing_epochs,
        )

    def last_epoch(self, recipe: Recipe) -> int:
        """The run's last epoch, earlier than planned where patience has run out."""
        return self.closing_start + recipe.train.closing_epochs - 1
