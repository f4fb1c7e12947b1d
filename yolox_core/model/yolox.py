"""YOLOX as a whole: images in, raw predictions out; and what its parts are called."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from yolox_core.config import ModelConfig, bottlenecks
from yolox_core.errors import InputError, nearest
from yolox_core.model.head import DecoupledHead
from yolox_core.model.neck import PAFPN

# What `train.freeze` may name -> prefixes of parameter names
PARTS = {
    "stem": ("backbone.backbone.stem.",),
    "dark2": ("backbone.backbone.dark2.",),
    "dark3": ("backbone.backbone.dark3.",),
    "dark4": ("backbone.backbone.dark4.",),
    "dark5": ("backbone.backbone.dark5.",),
    "backbone": ("backbone.backbone.",),
    "neck": tuple(
        f"backbone.{name}."
        for name in ("lateral_conv0", "C3_p4", "reduce_conv1", "C3_p3", "bu_conv2", "C3_n3", "bu_conv1", "C3_n4")
    ),
    "head": ("head.",),
}


class YOLOX(nn.Module):
    """The detector. Input float32 or bfloat16 [B, 3, H, W], BGR 0-255, sides multiples of 32; output [B, A, 4+1+C]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        base_channels = int(config.width * 64)
        self.config = config
        self.backbone = PAFPN(base_channels, bottlenecks(config.depth), depthwise=config.depthwise)
        self.head = DecoupledHead(
            self.backbone.channels, base_channels * 4, config.num_classes, depthwise=config.depthwise
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        raw: Tensor = self.head(self.backbone(images_BCHW))
        return raw


def build_model(config: ModelConfig, seed: int = 0) -> YOLOX:
    """A detector with random weights that depend on `seed` alone; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return YOLOX(config)


def frozen_prefixes(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Parameter-name prefixes of the named parts; InputError on an unknown part."""
    prefixes: list[str] = []
    for part in parts:
        if part not in PARTS:
            raise InputError(f"train.freeze: expected parts of the network, got {part!r}. {nearest(part, PARTS)}")
        prefixes.extend(PARTS[part])
    return tuple(prefixes)


def check_freezing(parts: tuple[str, ...]) -> None:
    """InputError on an unknown part, and where nothing would be left to train."""
    if len(set(frozen_prefixes(parts)) & {"backbone.backbone.", "head.", *PARTS["neck"]}) == 2 + len(PARTS["neck"]):
        raise InputError(f"train.freeze: expected something left to train, got {list(parts)}. Leave out 'head'.")


def batch_norms(model: nn.Module, prefixes: tuple[str, ...] = ("",)) -> Iterator[nn.BatchNorm2d]:
    """The batch-norm layers whose names start with one of `prefixes`."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and name.startswith(prefixes):
            yield module
