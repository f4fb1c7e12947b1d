"""The epoch loop, as a generator that yields reports. It knows no logger, tracker or cluster: the driver reports.

for report in train(job): print(report)
"""

import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolox_core.collectives import World
from yolox_core.config import DetectorSpec, Recipe
from yolox_core.data.batch import Batch
from yolox_core.data.dataset import SampleKey, TrainingSet
from yolox_core.data.device_prefetch import on_device
from yolox_core.data.epoch_plan import TrainingSizes, epoch_plan, shard, training_sizes
from yolox_core.data.loader import Loader
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError
from yolox_core.evaluation.detection_limit import deciding
from yolox_core.evaluation.evaluator import GivenUp, evaluate
from yolox_core.loss.assign_stats import health
from yolox_core.loss.detection_loss import PART_NAMES
from yolox_core.loss.simota import SimOTA
from yolox_core.model.sync_batch_norm import synchronize
from yolox_core.model.weights import Weights, load_weights
from yolox_core.model.yolox import build_model
from yolox_core.training import checkpoint
from yolox_core.training.checkpoint_saver import Saver, Statistics, restore, statistics_of
from yolox_core.training.optim import compile_network, training_mode
from yolox_core.training.phase_timer import PhaseTimer, shares
from yolox_core.training.reports import EpochReport, Left, Measuring, Report, Saved, Started, StepReport
from yolox_core.training.schedule import LearningRate, is_closing, is_evaluated
from yolox_core.training.state import TrainingState
from yolox_core.training.step import LEAVING, SAVING, TOTALS, Stepper

__all__ = [
    "EpochReport",
    "Left",
    "Measuring",
    "Report",
    "Saved",
    "Started",
    "StepReport",
    "TrainingDiverged",
    "TrainingJob",
    "train",
]
LOG_EVERY = 10  # steps between reads of the loss on CUDA; a read waits for the device. On a CPU every step is read


@dataclass(frozen=True)
class TrainingJob:
    """One worker's share of a run: what to compute, on what, and where."""

    recipe: Recipe
    spec: DetectorSpec
    training: DatasetRecords
    validation: DatasetRecords | None = None  # None or without images: nothing is measured, the last EMA is released
    initial: Weights | None = None  # None: random weights
    checkpoints: Path | None = None  # folder; None: nothing is saved
    checkpoint_every: int = 1  # epochs; the last one and the best are saved in any case
    checkpoint_minutes: float | None = None  # longest time between them, within epochs too; None: at epochs' ends only
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    world: World = field(default_factory=World)
    loader_workers: int = 0  # processes; 0: a thread
    threads: int | None = None  # CPU threads; None: as torch has it
    leave: Callable[[], bool] = lambda: False  # asked at every step and evaluated batch: whether to save and end, now

    @property
    def syncs_batch_norm(self) -> bool:
        """Whether batch-norm statistics are those of all workers together."""
        asked = self.recipe.train.sync_batch_norm
        return self.world.size > 1 and (self.device.type == "cuda" if asked == "auto" else asked)


class TrainingDiverged(InputError):
    """A loss stopped being a number."""


def train(job: TrainingJob) -> Iterator[Report]:
    """Train from scratch, from initial weights, or from the newest checkpoint in `job.checkpoints`."""
    recipe, world = job.recipe, job.world
    _check_batch(recipe, world)
    with _repeating_bits() if recipe.train.deterministic else nullcontext():
        yield from _train(job)


def _train(job: TrainingJob) -> Iterator[Report]:
    recipe, world = job.recipe, job.world
    state, started = _begin(job)
    sizes = training_sizes(recipe.train.input_size, recipe.augment.multiscale)
    if job.syncs_batch_norm:
        synchronize(state.model, world)
    if recipe.train.compile:
        compile_network(state.model, len({*sizes.drawn, sizes.closing}))
    model = world.data_parallel(state.model)
    stepper = Stepper(recipe, state, model, SimOTA(recipe.assign), world, job.device, PhaseTimer(job.device))
    rates = LearningRate.of(recipe.train, started.steps_per_epoch)
    yield started
    dataset = TrainingSet(job.training, recipe.augment, recipe.seed)
    with _saver(job) as saver, Loader(dataset, job.loader_workers, pinned=job.device.type == "cuda") as loader:
        going = True
        while going and state.epoch <= state.last_epoch(recipe):
            going = yield from _epoch(job, state, stepper, loader, sizes, rates, saver)


def _begin(job: TrainingJob) -> tuple[TrainingState, Started]:
    """A fresh state, or the newest checkpoint's."""
    found, content = _newest(job)
    threads = content["threads"] if content else job.threads
    if threads is not None:
        torch.set_num_threads(threads)  # the number decides the order of sums, so a resumed run keeps it
    model = build_model(job.recipe.model, job.recipe.seed)
    load_report = None
    if job.initial and not content:
        load_report = load_weights(model, job.initial, job.spec.class_names, job.recipe.class_rows)
    model.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainingState.fresh(model, job.recipe)
    if content:
        restore(state, content, job.world)
    one_size = training_sizes(job.recipe.train.input_size, None)
    steps = len(epoch_plan(len(job.training.images), job.recipe.train.batch_size, 0, 0, one_size, closing=True))
    return state, Started(state.epoch, steps, load_report, found.passed_over, tuple(state.history))


def _newest(job: TrainingJob) -> tuple[checkpoint.Newest, dict[str, Any] | None]:
    """The checkpoint to resume from. The first worker reads it for all: others need not have its folder."""
    found = checkpoint.Newest(None, None)
    if job.checkpoints and job.world.is_first:
        found = checkpoint.newest(job.checkpoints)
    return found, job.world.from_first(found.content)


def _saver(job: TrainingJob) -> AbstractContextManager[Saver | None]:
    """Only the first worker saves."""
    return Saver(job.checkpoints) if job.checkpoints and job.world.is_first else nullcontext()


def _epoch(
    job: TrainingJob,
    state: TrainingState,
    stepper: Stepper,
    loader: Loader[SampleKey],
    sizes: TrainingSizes,
    rates: LearningRate,
    saver: Saver | None,
) -> Generator[Report, None, bool]:
    """One epoch, or the rest of it; whether to continue with the next."""
    recipe, epoch = job.recipe, state.epoch
    closing = is_closing(epoch, state.closing_start)
    plan = epoch_plan(len(job.training.images), recipe.train.batch_size, epoch, recipe.seed, sizes, closing)
    training_mode(state.model, recipe.train)
    meter = _Meter(job, len(plan), state)
    batches = _steps(job, loader, plan[state.step_in_epoch :])
    if not (yield from _optimize(job, state, stepper, batches, meter, rates, saver)):
        return False
    row = {
        "epoch": epoch,
        "step": state.step,
        **meter.losses(epoch, []),
        **meter.health(),
        "learning_rate": rates.during(state.step - 1, closing),
    }
    phases, timing = stepper.clock.take(), meter.timing()
    _average(job, state)
    yield Measuring(epoch)
    is_best = _measure(job, state, row, timing)
    if is_best is None:
        yield _leave(job, state, meter, saver)
        return False
    state.history.append(row)
    state.epoch += 1
    state.step_in_epoch, state.epoch_totals = 0, []
    began = time.perf_counter()
    due = is_best or state.epoch % job.checkpoint_every == 0 or state.epoch > state.last_epoch(recipe)
    path = _save(job, state, is_best, saver) if due else None
    timing["checkpoint_s"] = time.perf_counter() - began
    whole = {**phases, "evaluate": timing.get("evaluate_s", 0.0), "checkpoint": timing["checkpoint_s"]}
    timing |= {f"share/{phase}": share for phase, share in shares(whole).items()}
    yield EpochReport(tuple(state.history), timing, is_best, path)
    if meter.leaving() and state.epoch <= state.last_epoch(recipe):
        if saver:
            saver.wait()
        yield Left(state.epoch, 0, len(plan))
        return False
    return True


def _optimize(
    job: TrainingJob,
    state: TrainingState,
    stepper: Stepper,
    steps: Iterator[list[Batch]],
    meter: "_Meter",
    rates: LearningRate,
    saver: Saver | None,
) -> Generator[Report, None, bool]:
    """The epoch's steps; False where a worker was asked to stop before the last one, after saving the step."""
    epoch, last_epoch, closing = state.epoch, state.last_epoch(job.recipe), is_closing(state.epoch, state.closing_start)
    stepper.clock.enter("data")
    for batches in steps:
        rate, due = rates.during(state.step, closing), saver is not None and _is_due(job, saver)
        if not meter.add(stepper(batches, rate, use_l1=closing, saving=due, leaving=job.leave())):
            continue
        stepper.clock.fold()
        losses = meter.losses(epoch, batches)
        stepper.clock.enter(None)  # what is done with a report is not waiting for data
        if saver:
            saver.check()
        yield StepReport(epoch, last_epoch, meter.steps, meter.steps_per_epoch, losses, meter.rate())
        if meter.steps < meter.steps_per_epoch:
            if meter.leaving():
                yield _leave(job, state, meter, saver)
                return False
            if meter.saving():
                yield Saved(epoch, meter.steps, _save_within(job, state, meter, saver))
        stepper.clock.enter("data")
    return True


def _is_due(job: TrainingJob, saver: Saver) -> bool:
    return job.checkpoint_minutes is not None and saver.age_s >= 60 * job.checkpoint_minutes


def _average(job: TrainingJob, state: TrainingState) -> None:
    """At an epoch's end, before it is measured, batch-norm statistics become their mean over the workers."""
    if not job.syncs_batch_norm:
        job.world.average_buffers(state.model)
        job.world.average_buffers(state.ema.model)


def _leave(job: TrainingJob, state: TrainingState, meter: "_Meter", saver: Saver | None) -> Left:
    """Save within an epoch, and wait until it is on disk."""
    _save_within(job, state, meter, saver)
    if saver:
        saver.wait()
    return Left(state.epoch, meter.steps, meter.steps_per_epoch)


def _save_within(job: TrainingJob, state: TrainingState, meter: "_Meter", saver: Saver | None) -> Path | None:
    """Begin to save within the epoch, with each worker's own statistics, so that a resumed run has the same bits.

    All workers must call it after the same step.
    """
    state.step_in_epoch, state.epoch_totals = meter.steps, meter.totals.tolist()
    differ = job.world.size > 1 and not job.syncs_batch_norm
    statistics = job.world.gather([statistics_of(state)]) if differ else []
    meter.saved()
    return _save(job, state, False, saver, statistics)


def _save(
    job: TrainingJob, state: TrainingState, is_best: bool, saver: Saver | None, statistics: Sequence[Statistics] = ()
) -> Path | None:
    if saver is None:
        return None
    return saver.save(state, job.recipe, job.spec, torch.get_num_threads(), is_best, statistics)


def _measure(job: TrainingJob, state: TrainingState, row: dict[str, Any], timing: dict[str, float]) -> bool | None:
    """Measure the average where it is due, add to the row, and let patience decide.

    Whether it is the best so far; None where a worker was asked to stop meanwhile: then nothing has changed.
    """
    train, epoch = job.recipe.train, state.epoch
    due = is_evaluated(epoch, state.last_epoch(job.recipe), state.closing_start, train.evaluate_every)
    if job.validation is None or not job.validation.images or not due:
        return False
    began = time.perf_counter()
    share = train.micro_batch_size or max(1, train.batch_size // job.world.size)
    model, validation = state.ema.model, job.validation
    try:
        metrics = evaluate(
            model, validation, job.spec, job.recipe.evaluate, job.world, job.device, share, leave=job.leave
        )
    except GivenUp:
        return None
    timing["evaluate_s"] = time.perf_counter() - began
    row.update(metrics)
    reached = deciding(metrics)
    if reached is None:
        return False  # no object in the validation images: the last average is released
    is_best = reached > (state.best_map or 0.0)  # a map of 0 is no best: then the last average is released
    if is_best:
        state.best_map, state.best_epoch, state.stale = reached, epoch, 0
    else:
        state.stale += 1
    if train.patience is not None and state.stale >= train.patience and epoch + 1 < state.closing_start:
        state.closing_start = epoch + 1  # patience never ends a run before its closing phase
    return is_best


def _steps(job: TrainingJob, loader: Loader[SampleKey], plan: Sequence[Sequence[SampleKey]]) -> Iterator[list[Batch]]:
    """The epoch's optimizer steps, each as this worker's micro-batches."""
    shares = [shard(batch, job.world.rank, job.world.size) for batch in plan]
    micro = job.recipe.train.micro_batch_size or len(shares[0])
    pieces = [[share[at : at + micro] for at in range(0, len(share), micro)] for share in shares]
    batches = on_device(loader.batches([piece for share in pieces for piece in share]), job.device)
    for share in pieces:
        yield [next(batches) for _ in share]


class _Meter:
    """Sums of an epoch's losses, and how fast it went."""

    def __init__(self, job: TrainingJob, steps_per_epoch: int, state: TrainingState) -> None:
        self.job, self.steps_per_epoch = job, steps_per_epoch
        self.steps = self.earlier = state.step_in_epoch
        begun = state.epoch_totals or [0.0] * len(TOTALS)
        self.totals = torch.tensor(begun, dtype=torch.float64, device=job.device)
        self.totals[[SAVING, LEAVING]] = 0  # requests of before the run was resumed
        self.began = time.perf_counter()

    def add(self, totals: Tensor) -> bool:
        """Add one step's sums; whether it is time to look at them."""
        self.totals += totals
        self.steps += 1
        return self.job.device.type == "cpu" or self.steps % LOG_EVERY == 0 or self.steps == self.steps_per_epoch

    def losses(self, epoch: int, batches: Sequence[Batch]) -> dict[str, float]:
        """Mean losses of the epoch so far (waits for the device). TrainingDiverged where one is not a number."""
        values = dict(zip(TOTALS, self.totals.tolist(), strict=True))
        positives = max(values["positives"], 1.0)
        parts = {f"loss/{name}": values[name] / positives for name in PART_NAMES}
        if not all(math.isfinite(value) for value in parts.values()):
            images = sorted({image_id for batch in batches for image_id in batch.image_ids})
            raise TrainingDiverged(
                f"epoch {epoch}, step {self.steps} of {self.steps_per_epoch}: the loss is not a number: {parts}; "
                f"images {images}. Lower train.learning_rate or set train.clip_norm; the last checkpoint is good."
            )
        return {"loss": sum(parts.values()), **parts}

    def health(self) -> dict[str, float]:
        """How the epoch's objects were served."""
        return health(dict(zip(TOTALS, self.totals.tolist(), strict=True)))

    def leaving(self) -> bool:
        """Whether a worker has been asked to stop."""
        return bool(self.totals[LEAVING] > 0)

    def saving(self) -> bool:
        """Whether a checkpoint is due."""
        return bool(self.totals[SAVING] > 0)

    def saved(self) -> None:
        """Reset, once a checkpoint has been begun."""
        self.totals[SAVING] = 0

    def rate(self) -> float:
        return (self.steps - self.earlier) * self.job.recipe.train.batch_size / (time.perf_counter() - self.began)

    def timing(self) -> dict[str, float]:
        return {"train_s": time.perf_counter() - self.began, "images_per_second": self.rate()}


@contextmanager
def _repeating_bits() -> Iterator[None]:
    """Kernels that repeat, for the block; torch raises where an operation has none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch asks for it, cuBLAS reads it once
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def _check_batch(recipe: Recipe, world: World) -> None:
    if recipe.train.batch_size % world.size:
        raise InputError(
            f"train.batch_size: expected a multiple of the {world.size} workers, got {recipe.train.batch_size}. "
            "Change it, or the number of workers."
        )
