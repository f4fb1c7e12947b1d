"""Batch norm whose statistics are those of all workers' micro-batches together, so that N workers equal one.

`torch.nn.SyncBatchNorm` refuses CPU tensors; this one works wherever torch.distributed sums. Where a worker cuts its
share into micro-batches, statistics are those of the micro-batches that all workers compute at the same time: the first
of each, then the second of each.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from yolox_core.collectives import World


class SyncBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with statistics over all workers in training; parameters and buffers have the same names."""

    world: World

    @classmethod
    def of(cls, layer: nn.BatchNorm2d, world: World) -> "SyncBatchNorm":
        """A synchronized layer that shares its parameters and buffers with `layer`."""
        synced = cls(layer.num_features, layer.eps, layer.momentum, device="meta")
        synced._parameters, synced._buffers = layer._parameters, layer._buffers
        synced.world = world
        return synced.train(layer.training)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Normalized images [B, C, H, W], in the input's type. In training every worker must call it as often."""
        if not self.training:
            return super().forward(images_BCHW)
        normalized, mean_C, variance_C, count = _Normalize.apply(
            images_BCHW, self.weight, self.bias, self.eps, self.world
        )
        self._update_running(mean_C, variance_C, count)
        return normalized  # type: ignore[no-any-return]

    @torch.no_grad()
    def _update_running(self, mean_C: Tensor, variance_C: Tensor, count: Tensor) -> None:
        """Update the running statistics as torch does, with the unbiased variance."""
        assert self.momentum is not None and self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), self.momentum)
        unbiased_C = variance_C * count / (count - 1).clamp(min=1)
        self.running_var.lerp_(unbiased_C.to(self.running_var.dtype), self.momentum)


def synchronize(model: nn.Module, world: World) -> None:
    """Replace each batch norm of `model` by a `SyncBatchNorm`; with one worker `model` stays as it is."""
    if world.size == 1:
        return
    layers = [(name, layer) for name, layer in model.named_modules() if type(layer) is nn.BatchNorm2d]
    for name, layer in layers:
        model.set_submodule(name, SyncBatchNorm.of(layer, world))


class _Normalize(Function):
    """Normalize over all workers; one sum over workers forward, one backward."""

    @staticmethod
    def forward(
        ctx: Any, images_BCHW: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float, world: World
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean_C, variance_C, count = _statistics(images_BCHW, weight_C.dtype, world)
        rate_C = torch.rsqrt(variance_C + eps)
        ctx.save_for_backward(images_BCHW, weight_C, mean_C, rate_C, count)
        ctx.world = world
        ctx.mark_non_differentiable(mean_C, variance_C, count)
        # the fused kernel with statistics given: what it does in evaluation
        normalized = F.batch_norm(images_BCHW, mean_C, variance_C, weight_C, bias_C, False, 0.0, eps)
        return normalized, mean_C, variance_C, count

    @staticmethod
    def backward(ctx: Any, grad_BCHW: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        images_BCHW, weight_C, mean_C, rate_C, count = ctx.saved_tensors
        # the fused kernel takes out of the gradient what is along the mean and deviations of this worker's values ...
        own_BCHW, weight_grad_C, bias_grad_C = torch.ops.aten.native_batch_norm_backward(
            grad_BCHW, images_BCHW, weight_C, None, None, mean_C, rate_C, True, 0.0, (True, True, True)
        )
        # ... and all workers' replaces that: a factor and a summand for each channel. Each worker keeps its share of
        # the gradients of weight and bias, which are summed with all others
        own = torch.stack((bias_grad_C, weight_grad_C))
        excess = own / (images_BCHW.numel() / images_BCHW.shape[1]) - ctx.world.sum(own.clone()) / count
        factor_C = weight_C * rate_C**2 * excess[1]
        summand_C = weight_C * rate_C * excess[0] - mean_C * factor_C
        grads_BCHW = torch.addcmul(own_BCHW, images_BCHW, _wide(factor_C).to(own_BCHW.dtype))
        return grads_BCHW.add_(_wide(summand_C).to(own_BCHW.dtype)), weight_grad_C, bias_grad_C, None, None


def _statistics(images_BCHW: Tensor, kind: torch.dtype, world: World) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance [C] over all workers, and the number of values of each channel [], in type `kind`.

    Means and squared deviations of the parts are combined (Chan, Golub, LeVeque 1983): a difference of sums of squares
    would lose the variance of channels whose mean is large.
    """
    # on a CPU, statistics to update, which a momentum of 0 leaves alone, are what keeps those of bfloat16 in float32
    unused_C = images_BCHW.new_zeros(images_BCHW.shape[1], dtype=kind)
    mean_C, variance_C = torch.batch_norm_update_stats(images_BCHW, unused_C, unused_C.clone(), 0.0)
    here = images_BCHW.numel() / images_BCHW.shape[1]
    parts = images_BCHW.new_zeros(world.size, 2 * len(mean_C) + 1, dtype=kind)
    parts[world.rank] = torch.cat((mean_C, variance_C, mean_C.new_tensor([here])))
    parts = world.sum(parts)  # every other row was zero: now each worker has all
    means_RC, variances_RC = parts[:, : len(mean_C)], parts[:, len(mean_C) : -1]
    shares_R1 = parts[:, -1:] / parts[:, -1].sum()
    mean_C = (means_RC * shares_R1).sum(0)
    variance_C = ((variances_RC + (means_RC - mean_C) ** 2) * shares_R1).sum(0)
    return mean_C, variance_C, parts[:, -1].sum()


def _wide(of_channel_C: Tensor) -> Tensor:
    return of_channel_C[:, None, None]
