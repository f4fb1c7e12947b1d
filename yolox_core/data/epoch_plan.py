"""Which images make which batch of an epoch, and at what size: a pure function of (seed, epoch).

Every batch is whole and every image is seen at least once an epoch; the last batch is filled up from the epoch's
first images. Workers take contiguous shares of a batch, so that their number does not change what it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from yolox_core.data.dataset import SampleKey
from yolox_core.data.epoch_order import epoch_order
from yolox_core.data.geometry import Size
from yolox_core.errors import InputError

Item = TypeVar("Item")

SIZE_STEP = 32  # px; the coarsest stride
# Fourth word of the seeds drawn here. Samples use (seed, epoch, position), which numpy pads with zeros: words of
# their own keep these streams apart from those and from each other.
SIZE_STREAM = 1  # ORDER_STREAM, in epoch_order.py, is 2


@dataclass(frozen=True)
class TrainingSizes:
    """The sizes to train on, (height, width) px: those that batches draw from, and that of the closing phase."""

    closing: Size
    drawn: tuple[Size, ...]


def training_sizes(input_size: Size, multiscale: tuple[int, int] | None) -> TrainingSizes:
    """Heights in steps of 32 within `multiscale`, each with the width nearest to the input's aspect; None: one size."""
    if multiscale is None:
        return TrainingSizes(input_size, (input_size,))
    aspect = input_size[1] / input_size[0]
    heights = range(multiscale[0], multiscale[1] + 1, SIZE_STEP)
    widths = (max(SIZE_STEP, round(height * aspect / SIZE_STEP) * SIZE_STEP) for height in heights)
    return TrainingSizes(input_size, tuple(zip(heights, widths, strict=True)))


def epoch_plan(
    count: int, batch_size: int, epoch: int, seed: int, sizes: TrainingSizes, closing: bool
) -> list[list[SampleKey]]:
    """The ceil(count / batch_size) batches of an epoch over `count` images, each of exactly `batch_size` keys."""
    if count < 1:
        raise InputError("training set: expected at least one image, got none. Check data.source and data.split.")
    order = epoch_order(count, epoch, seed)
    return [
        [
            SampleKey(epoch, position, int(order[position % count]), size, closing)
            for position in range(batch * batch_size, (batch + 1) * batch_size)
        ]
        for batch in range(-(-count // batch_size))
        for size in [sizes.closing if closing else _drawn_size(sizes, seed, epoch, batch)]
    ]


def _drawn_size(sizes: TrainingSizes, seed: int, epoch: int, batch: int) -> Size:
    rng = np.random.default_rng((seed, epoch, batch, SIZE_STREAM))
    return sizes.drawn[int(rng.integers(len(sizes.drawn)))]


def shard(batch: Sequence[Item], rank: int, world: int) -> list[Item]:
    """The share of worker `rank` of `world`: a contiguous slice. InputError where the batch does not divide."""
    if len(batch) % world:
        raise InputError(
            f"train.batch_size: expected a multiple of the {world} workers, got {len(batch)}. "
            f"Nearest: {max(1, round(len(batch) / world)) * world}."
        )
    share = len(batch) // world
    return list(batch[rank * share : (rank + 1) * share])
