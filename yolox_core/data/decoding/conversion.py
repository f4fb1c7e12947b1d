"""Samples of any depth as the eight bits a channel that a network gets: one rule for files, arrays and Pillow images.

Eight bits stay as they are. Of sixteen the upper eight are taken, unless a range says which values are black and white;
samples of any other type (floats, signed, 32 bits) need one. Alpha is dropped, one channel becomes three equal ones.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.errors import InputError
from yolox_core.structures import ImageArray

ValueRange = tuple[float, float]  # the sample that becomes black, the one that becomes white
FEW_LEVELS = 32  # of 256: below this shapes in a picture may be gone
FULL = 65535
AT_ONCE = 1 << 18  # samples: each takes 8 bytes while it is converted
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Loss:
    """What an image has and the eight bits a channel of its first page do not."""

    code: str  # as the doctor calls it (pipeline/data/checks/catalog.py)
    what: str


def as_bgr(given: Any, where: str, value_range: ValueRange | None = None, lost: list[Loss] | None = None) -> ImageArray:
    """uint8 BGR [height, width, 3] of an array [height, width] or [height, width, 1, 3 or 4], BGR or BGRA.

    bool: True is white. uint16: by the range, or the upper eight bits. Other numbers: by the range, which they need.
    What is lost besides is added to `lost`. InputError, which calls it `where`, for anything else.
    """
    shape: tuple[int, ...] = getattr(given, "shape", ())
    is_picture = isinstance(given, np.ndarray) and (len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS))
    if not is_picture or 0 in shape or given.dtype.kind not in "buif":
        got = f"{given.dtype} {list(shape)}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(
            f"{where}: expected BGR pixels of numbers, [height, width] or [height, width, 1, 3 or 4], got {got}. "
            "`read_image` gives such."
        )
    samples = given[..., :3] if len(shape) == 3 and shape[2] == 4 else given
    eight = _eight_bits(samples, where, value_range, lost)
    if eight.ndim == 3 and eight.shape[2] == 3:
        return eight
    return np.repeat(eight.reshape(*shape[:2], 1), 3, axis=2)


def scaled(image: ImageArray, largest: float) -> ImageArray:
    """An image of eight bits whose `largest` sample is white."""
    table = np.rint(np.arange(256).clip(0, largest) * (255 / largest)).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _eight_bits(
    samples: npt.NDArray[Any], where: str, value_range: ValueRange | None, lost: list[Loss] | None
) -> npt.NDArray[np.uint8]:
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype == np.bool_:
        return np.where(samples, np.uint8(255), np.uint8(0))
    if value_range is None and samples.dtype != np.uint16:
        raise InputError(
            f"{where}: expected 8 or 16 bits a sample, got {samples.dtype}, of which nothing says what is black and "
            "what is white. Save it with 8 or 16 bits, or train with data.range: [low, high]."
        )
    low, high = value_range or (0, FULL)
    eight = np.empty(samples.shape, np.uint8)
    rows = max(1, AT_ONCE // samples[0].size)
    for start in range(0, len(samples), rows):
        block = samples[start : start + rows]
        is_short = block.dtype == np.uint16
        eight[start : start + rows] = _table(low, high)[block] if is_short else _ranged(block, low, high)
    if lost is not None:
        lost += _levels_lost(samples, eight, (low, high))
    return eight


@lru_cache(maxsize=64)
def _table(low: float, high: float) -> npt.NDArray[np.uint8]:
    """The eight bits of each sample of sixteen."""
    return _ranged(np.arange(FULL + 1), low, high)


def _ranged(samples: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """The range spread over sixteen bits, then their upper eight; what is no number is black."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite ones are clipped
        spread = (samples.astype(np.float64) - low) / (high - low) * FULL
    sixteen = np.rint(np.clip(np.nan_to_num(spread, nan=0.0), 0, FULL)).astype(np.uint16)
    return (sixteen >> 8).astype(np.uint8)


def _levels_lost(samples: npt.NDArray[Any], eight: npt.NDArray[np.uint8], value_range: ValueRange) -> list[Loss]:
    """The finding of a picture of which few levels are left, and more were there."""
    left = _levels(eight, 256)
    if left >= FEW_LEVELS:
        return []
    is_short = samples.dtype == np.uint16
    had = _levels(samples, FULL + 1) if is_short else len(np.unique(samples))
    if had <= left:
        return []
    finite = samples if is_short else samples[np.isfinite(samples)]
    low, high = value_range
    what = (
        f"{left} of {had} levels are left: its values are {finite.min():g} to {finite.max():g}, "
        f"{low:g} to {high:g} are read as black to white"
    )
    return [Loss("image-few-levels", what)]


def _levels(samples: npt.NDArray[Any], possible: int) -> int:
    """Of the channel with the most."""
    plain = np.ascontiguousarray(samples)
    channels = range(plain.shape[2] if plain.ndim == 3 else 1)
    return max(int(np.count_nonzero(cv2.calcHist([plain], [c], None, [possible], [0, possible]))) for c in channels)
