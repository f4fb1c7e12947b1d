"""Schedules as pure functions of the step or the epoch.

Learning rate: yolox/utils/lr_scheduler.py (yoloxwarmcos), EMA: yolox/utils/ema.py, both of
Megvii-BaseDetection/YOLOX at 6ddff48. Unlike there, the closing phase begins for augmentation, the L1 loss and the
learning rate in the same epoch.
"""

import math
from dataclasses import dataclass

from yolox_core.config import TrainConfig


@dataclass(frozen=True)
class LearningRate:
    """Quadratic warm-up from 0, cosine to the floor, flat in the closing phase. All lengths in steps."""

    peak: float
    min_ratio: float
    total: int
    warmup: int
    closing: int

    @classmethod
    def of(cls, config: TrainConfig, steps_per_epoch: int) -> "LearningRate":
        """The schedule of a run with `steps_per_epoch` optimizer steps an epoch."""
        return cls(
            peak=config.learning_rate,
            min_ratio=config.min_lr_ratio,
            total=config.epochs * steps_per_epoch,
            warmup=config.warmup_epochs * steps_per_epoch,
            closing=config.closing_epochs * steps_per_epoch,
        )

    def at(self, step: int) -> float:
        """The rate of optimizer step `step`, counted from 0."""
        floor = self.peak * self.min_ratio
        if step <= self.warmup:
            return self.peak * (step / self.warmup) ** 2 if self.warmup else self.peak
        if step >= self.total - self.closing:
            return floor
        progress = (step - self.warmup) / (self.total - self.warmup - self.closing)
        return floor + 0.5 * (self.peak - floor) * (1.0 + math.cos(math.pi * progress))

    def during(self, step: int, closing: bool) -> float:
        """The rate of `step`, where patience may have brought the closing phase forward."""
        return self.peak * self.min_ratio if closing else self.at(step)


def ema_decay(update: int, decay: float, warmup: int) -> float:
    """The share of the average that stays at the `update`-th update, counted from 1."""
    return decay * (1 - math.exp(-update / warmup))


def is_closing(epoch: int, closing_start: int) -> bool:
    """Whether `epoch` trains without mosaic and mixup, and with the L1 loss."""
    return epoch >= closing_start


def is_evaluated(epoch: int, last_epoch: int, closing_start: int, every: int) -> bool:
    """Whether the model is measured after `epoch`: every n-th, always in the closing phase and at the end."""
    return (epoch + 1) % every == 0 or epoch >= closing_start or epoch == last_epoch
