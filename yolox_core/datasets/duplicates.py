"""Pictures that are copies of each other: resized, recompressed or mirrored.

Each picture becomes a small grey one; two are alike where those correlate. Measured on 564 photographs and micrographs
and 500 rendered scenes: copies lie above .98 (shrunk to a third without smoothing .982, all others above .99), the
nearest different pictures at .976 and .95. One shrunk by leaving pixels out may be missed.

Every picture is compared with every other, but by its lowest frequencies alone (a cosine transform). There pictures of
length 1 are no further apart than they are, which bounds their correlation: a pair beyond it needs no second look. A
mirrored picture is the same with the frequencies that are odd across negated.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.datasets.images import READERS
from yolox_core.structures import ImageArray

Thumb = npt.NDArray[np.uint8]  # [SIDE, SIDE] grey
Vectors = npt.NDArray[np.float32]  # [N, D]
Rows = npt.NDArray[np.int64]

SIDE = 32  # px
SURE = 0.98  # correlation of copies
LOW = 6  # frequencies each way; without the mean 35 numbers a picture
FLAT = 2.0  # standard deviation in grey levels; a picture with less has nothing to compare
ROWS, COLUMNS = 32, 4096  # compared at a time: what a core's cache holds
LOOKED_AT = 16  # of those that may be copies of a picture


@dataclass(frozen=True)
class Pair:
    """Two pictures, by their places; `second` is the later one."""

    first: int
    second: int
    likeness: float  # correlation
    mirrored: bool


def thumb(image: ImageArray) -> Thumb:
    """A picture [H, W, 3] as SIDE x SIDE grey levels, whatever its shape."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def pairs(thumbs: Sequence[Thumb], sides: Sequence[str | None] | None = None) -> Iterator[Pair]:
    """Of each picture that copies an earlier one the likest of those, and the likest on another side of the split.

    At most two for a picture, since of a fixed camera's pictures all are alike; `sides` None: all are on one side.
    """
    usable = [index for index, one in enumerate(thumbs) if float(one.std()) >= FLAT]
    if len(usable) < 2:
        return
    fine_N = np.stack([thumbs[index] for index in usable])
    mirror_N = np.ascontiguousarray(fine_N[:, :, ::-1])
    side_N = np.array([str(sides[index]) if sides is not None else "" for index in usable])
    for row, groups in _likely(fine_N, side_N):
        for group in groups:
            found = _likest(fine_N, mirror_N, row, group)
            if found is not None:
                other, likeness, mirrored = found
                yield Pair(usable[other], usable[row], likeness, mirrored)


def _likely(fine_N: npt.NDArray[np.uint8], side_N: npt.NDArray[np.str_]) -> list[tuple[int, list[Rows]]]:
    """(row, the rows before it that it may copy) of those rows that may copy any, in their order."""
    from threadpoolctl import threadpool_limits

    even_NL, odd_NL = _low_frequencies(fine_N)
    # [a, -aa/2, 1] by [b, 1, -bb/2] is half the squared distance, negated; of a mirrored one the odd part changes sign
    half_N1 = ((even_NL**2).sum(axis=1, keepdims=True) + (odd_NL**2).sum(axis=1, keepdims=True)) / 2
    one_N1 = np.ones_like(half_N1)
    row_NL = np.hstack([even_NL, -half_N1, one_N1])
    even_LN, odd_LN = (np.ascontiguousarray(part.T) for part in (np.hstack([even_NL, one_N1, -half_N1]), odd_NL))
    least = np.float32(SURE - 1 - 1e-5)  # room for rounding

    def look(start: int) -> list[tuple[int, list[Rows]]]:
        end = min(start + ROWS, len(fine_N))
        near: dict[int, list[tuple[Rows, Vectors]]] = defaultdict(list)  # columns and their bounds
        for left in range(0, end, COLUMNS):
            right = min(left + COLUMNS, end)
            bound_RC = row_NL[start:end] @ even_LN[:, left:right]
            bound_RC += np.abs(odd_NL[start:end] @ odd_LN[:, left:right])
            if right > start:  # itself and those after it
                bound_RC[np.arange(start, end)[:, None] <= np.arange(left, right)] = -np.inf
            for at in np.flatnonzero(bound_RC.max(axis=1) >= least).tolist():
                column_K = np.flatnonzero(bound_RC[at] >= least)
                for few_K in _likeliest(bound_RC[at, column_K], side_N[left + column_K] == side_N[start + at]):
                    near[start + at].append((left + column_K[few_K], bound_RC[at, column_K[few_K]]))
        found = []
        for row in sorted(near):
            column_K, bound_K = (np.concatenate(parts) for parts in zip(*near[row], strict=True))
            groups = _likeliest(bound_K, side_N[column_K] == side_N[row])
            found.append((row, [column_K[few_K] for few_K in groups]))
        return found

    # the pool's threads instead of BLAS's: those wait for each other in a loop, which beside other work took 20 times
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(READERS) as pool:
        return [found for block in pool.map(look, range(0, len(fine_N), ROWS)) for found in block]


def _likeliest(bound_K: Vectors, own_K: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """The indices of the few largest bounds on the own side, and on the others."""
    order_K = np.argsort(-bound_K, kind="stable")
    return order_K[own_K[order_K]][:LOOKED_AT], order_K[~own_K[order_K]][:LOOKED_AT]


def _low_frequencies(pictures_N: npt.NDArray[np.uint8]) -> tuple[Vectors, Vectors]:
    """The LOW x LOW lowest frequencies without the mean, those even across [N, L] and those odd [N, M]."""
    frequency_F = np.arange(LOW)
    cosines_FS = np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * np.outer(frequency_F, np.arange(SIDE) + 0.5))
    cosines_FS[0] = np.sqrt(1 / SIDE)
    low_NFF = np.zeros((len(pictures_N), LOW, LOW), np.float32)
    for start in range(0, len(pictures_N), ROWS):
        square_RSS = _vectors(pictures_N[start : start + ROWS]).reshape(-1, SIDE, SIDE)
        low_NFF[start : start + ROWS] = cosines_FS @ square_RSS @ cosines_FS.T  # down, then across
    even_NL, odd_NM = (low_NFF[:, :, side::2].reshape(len(pictures_N), -1) for side in (0, 1))
    return even_NL[:, 1:], odd_NM


def _likest(
    fine_N: npt.NDArray[np.uint8], mirror_N: npt.NDArray[np.uint8], row: int, group: Rows
) -> tuple[int, float, bool] | None:
    """(index, correlation, mirrored) of the likest of a group; None where none is a copy."""
    if not len(group):
        return None
    own_D = _vectors(fine_N[row][None])[0]
    likeness_2K = np.stack([_vectors(others[group]) @ own_D for others in (fine_N, mirror_N)])
    way, best = np.unravel_index(int(likeness_2K.argmax()), likeness_2K.shape)
    likeness = float(likeness_2K[way, best])
    return (int(group[best]), likeness, bool(way)) if likeness >= SURE else None


def _vectors(pictures_N: npt.NDArray[np.generic]) -> Vectors:
    """Without mean, of length 1."""
    flat_ND = pictures_N.reshape(len(pictures_N), -1).astype(np.float32)
    flat_ND -= flat_ND.mean(axis=1, keepdims=True)
    length_N = np.linalg.norm(flat_ND, axis=1, keepdims=True)
    vectors: Vectors = flat_ND / np.maximum(length_N, 1e-6)
    return vectors
