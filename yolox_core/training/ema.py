"""An exponential moving average of a model's weights and batch-norm statistics: what is measured and released."""

import copy

import torch
from torch import Tensor, nn

from yolox_core.training.schedule import ema_decay


class ModelEMA:
    """Follows a model; `model` is the average, in eval mode."""

    def __init__(self, model: nn.Module, decay: float, warmup: int) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self._averages: list[Tensor] = []
        self._sources: list[Tensor] = []
        self._counters: list[tuple[Tensor, Tensor]] = []
        own = self.model.state_dict()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self._averages.append(own[name])
                self._sources.append(tensor)
            else:
                self._counters.append((own[name], tensor))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model as it is now."""
        self.updates += 1
        share = 1 - ema_decay(self.updates, self.decay, self.warmup)
        torch._foreach_lerp_(self._averages, self._sources, share)
        for own, source in self._counters:
            own.copy_(source)
