"""The optimizer: SGD with Nesterov momentum (yolox_base.py:255-285) or AdamW, decay on convolution weights only."""

from importlib import import_module

import torch
from torch import nn

from yolox_core.config import TrainConfig
from yolox_core.model.yolox import batch_norms, frozen_prefixes


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """One group with decay (convolution weights), one without (batch norm and biases); frozen parts in neither."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.dim() > 1]
    plain = [parameter for parameter in trained if parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    # fused: one kernel over all parameters, on CPU and on CUDA
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999), fused=True)
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
    )


def freeze(model: nn.Module, parts: tuple[str, ...]) -> None:
    """Take the named parts of the network out of training; InputError on an unknown part."""
    prefixes = frozen_prefixes(parts)
    for name, parameter in model.named_parameters():
        if prefixes and name.startswith(prefixes):
            parameter.requires_grad_(False)


def training_mode(model: nn.Module, config: TrainConfig) -> None:
    """Train mode, but batch norm of frozen parts (or all of it, by option) keeps using its stored statistics."""
    model.train()
    prefixes = ("",) if config.freeze_batch_norm else frozen_prefixes(config.freeze)
    for layer in batch_norms(model, prefixes) if prefixes else ():
        layer.eval()


def scale_gradients(model: nn.Module, factor: torch.Tensor) -> None:
    """Multiply every gradient by a 0-dim tensor, without waiting for the device."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    torch._foreach_mul_(gradients, factor)


def compile_network(model: nn.Module, sizes: int) -> None:
    """Run `model` by torch.compile, with code of its own for each of so many input sizes and no more than these.

    Code for any size would be made once, but was not made within minutes (YOLOX-s, PyTorch 2.11).
    """
    dynamo = import_module("torch._dynamo")  # seconds, which a run without it does not spend
    # past its limit torch goes back to uncompiled code, without a word to the user
    dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, 2 * sizes)
    model.compile(dynamic=False)
