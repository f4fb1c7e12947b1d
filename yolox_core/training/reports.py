"""What the engine says of a run while it goes on. No PyTorch here: who only listens does without."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolox_core.model.weights import LoadReport


@dataclass(frozen=True)
class Started:
    """Before the first epoch."""

    epoch: int  # the epoch about to be trained; more than 0 where a run is resumed
    steps_per_epoch: int
    load_report: "LoadReport | None"
    notes: tuple[str, ...]  # damaged checkpoints that were passed over
    history: tuple[dict[str, Any], ...]  # rows of the epochs done before


@dataclass(frozen=True)
class StepReport:
    """Every few steps, for a progress display."""

    epoch: int
    last_epoch: int
    step_in_epoch: int
    steps_per_epoch: int
    losses: dict[str, float]
    images_per_second: float  # over all workers, since the epoch began


@dataclass(frozen=True)
class EpochReport:
    """After each epoch. Its checkpoint may still be on its way to disk, the one before is there."""

    history: tuple[dict[str, Any], ...]  # a row an epoch: epoch, step, losses, metrics; the same in every repetition
    timing: dict[str, float]  # seconds and rates: never the same
    is_best: bool
    checkpoint: Path | None

    @property
    def row(self) -> dict[str, Any]:
        """This epoch's row."""
        return self.history[-1]


@dataclass(frozen=True)
class Measuring:
    """Before an evaluation, which may take long."""

    epoch: int


@dataclass(frozen=True)
class Saved:
    """On every worker, when a checkpoint within an epoch has been begun; it may not be on disk yet."""

    epoch: int
    step_in_epoch: int
    checkpoint: Path | None  # None on other workers than the first


@dataclass(frozen=True)
class Left:
    """The last report of a run that was asked to stop, when its checkpoint is on disk: it resumes from there."""

    epoch: int
    step_in_epoch: int  # steps of this epoch that need not be done again
    steps_per_epoch: int


Report = Started | StepReport | Measuring | EpochReport | Saved | Left
