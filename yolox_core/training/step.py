"""One optimizer step: micro-batches in, weights moved.

Losses are summed, not averaged, over micro-batches; gradients are divided once, by the positives of the whole global
batch. So the step does not depend on how the batch was cut into workers and micro-batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from yolox_core.collectives import World
from yolox_core.config import Recipe
from yolox_core.data.batch import Batch
from yolox_core.loss.assign_counts import COUNTS
from yolox_core.loss.assign_stats import assignment_counts
from yolox_core.loss.detection_loss import PART_NAMES, detection_loss
from yolox_core.loss.simota import SimOTA
from yolox_core.ops.anchors import anchor_points, decode_boxes
from yolox_core.training.optim import scale_gradients
from yolox_core.training.phase_timer import PhaseTimer
from yolox_core.training.state import TrainingState

# what a step sums, in this order; the last two: how many workers want a checkpoint, and were asked to stop
TOTALS = (*PART_NAMES, "positives", *COUNTS, "saving", "leaving")
SAVING, LEAVING = -2, -1

_points = lru_cache(maxsize=64)(anchor_points)  # for each size that is trained on


@dataclass(frozen=True)
class Stepper:
    """What stays the same from step to step."""

    recipe: Recipe
    state: TrainingState
    model: nn.Module  # state.model, or its data-parallel wrapper
    assigner: SimOTA
    world: World
    device: torch.device
    clock: PhaseTimer

    def __call__(
        self,
        micro_batches: Sequence[Batch],
        learning_rate: float,
        use_l1: bool,
        saving: bool = False,
        leaving: bool = False,
    ) -> Tensor:
        """Train on one global batch's share; returns the global sums named by TOTALS, still on the device.

        `saving` and `leaving` travel with the sums, so that all workers learn of them after the same step, at no cost.
        """
        state, train = self.state, self.recipe.train
        state.optimizer.zero_grad(set_to_none=True)
        totals = torch.zeros(len(TOTALS), device=self.device)
        totals[SAVING] += saving
        totals[LEAVING] += leaving
        for batch in micro_batches[:-1]:
            with self.world.without_averaging(self.model):
                totals += self._accumulate(batch, use_l1)
        totals += self._accumulate(micro_batches[-1], use_l1)
        self.clock.enter("communicate")
        totals = self.world.sum(totals)
        self.clock.enter("optimizer")
        # data-parallel backward left the mean over workers; their sum over the positives of all is wanted
        scale_gradients(state.model, self.world.size / totals[TOTALS.index("positives")].clamp(min=1))
        if train.clip_norm is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), train.clip_norm)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate
        state.optimizer.step()
        state.ema.update()
        state.step += 1
        self.clock.enter("data")
        return totals

    def _accumulate(self, batch: Batch, use_l1: bool) -> Tensor:
        self.clock.enter("forward")
        batch = batch.to(self.device)
        images = batch.images_BCHW.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            raw_BA = self.model(images)
        self.clock.enter("assign")
        targets = batch.targets
        points = _points((images.shape[2], images.shape[3]), self.device)
        boxes_BA4 = decode_boxes(raw_BA, points)
        assignment = self.assigner(boxes_BA4.detach(), raw_BA.detach(), targets, points)
        self.clock.enter("loss")
        sums = detection_loss(raw_BA, boxes_BA4, targets, assignment, points, self.recipe.loss, use_l1)
        self.clock.enter("backward")
        sums.total.backward()  # type: ignore[no-untyped-call]
        self.clock.enter("loss")
        counts = assignment_counts(assignment, targets, points)
        # a prediction that is not a number shows in this step's losses, also where no object got that point
        broken = raw_BA.detach().sum(dtype=torch.float32) * 0
        nobody = broken.new_zeros(2)
        return torch.cat((torch.stack((*sums.parts, sums.positives)).detach() + broken, counts, nobody))

    @property
    def mixed(self) -> bool:
        """Whether the network runs in bfloat16 (assignment and losses never do)."""
        precision = self.recipe.train.precision
        return precision == "bfloat16" or (precision == "auto" and self.device.type == "cuda")
