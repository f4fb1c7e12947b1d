"""The order in which an epoch shows its images: a pure function of (seed, epoch)."""

import numpy as np

from yolox_core.structures import IntArray

ORDER_STREAM = 2  # fourth word of the seed; see epoch_plan.py


def epoch_order(count: int, epoch: int, seed: int) -> IntArray:
    """Every one of `count` images once."""
    order: IntArray = np.random.default_rng((seed, epoch, 0, ORDER_STREAM)).permutation(count)
    return order
