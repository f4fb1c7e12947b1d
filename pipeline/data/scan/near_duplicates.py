"""Pictures that are copies of each other: resized, recompressed or mirrored.

Each picture becomes a small grey one; two are alike where those correlate. Measured on 564 photographs and micrographs
and 500 rendered scenes: copies lie above .98 (shrunk to a third without smoothing .982, all others above .99), the
nearest different pictures at .976 and .95. One shrunk by leaving pixels out may be missed.

Every picture is compared with every other, but by its lowest frequencies alone (a cosine transform). There pictures of
length 1 are no further apart than they are, which bounds their correlation: a pair beyond it needs no second look. A
mirrored picture is the same with the frequencies that are odd across negated. What was compared before is not again:
compared.py.
"""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.data.image_io import READERS
from yolox_core.structures import BoolArray, ImageArray

Thumb = npt.NDArray[np.uint8]  # [SIDE, SIDE] grey
Vectors = npt.NDArray[np.float32]  # [N, D]
Rows = npt.NDArray[np.int64]
Block = TypeVar("Block")

SIDE = 32  # px
SURE = 0.98  # correlation of copies
FLAT = 2.0  # standard deviation in grey levels; a picture with less has nothing to compare
LOW = 6  # frequencies each way; without the mean 35 numbers a picture
ROWS, COLUMNS = 32, 4096  # compared at a time: what a core's cache holds
BLOCK = 1024  # pictures transformed at a time
LOOKED_AT = 16  # of those that may be copies of a picture
FAR = 1e6  # half the squared distance of a flat picture to all others; those of length 1 are at most 2 apart
STEPS = 2**11  # a frequency is a whole number of these, so that float32 holds products and sums without rounding
LEAST = np.float32(SURE - 1 - 6e-4)  # room for these steps: pictures .2 apart come .0015 nearer at most


@dataclass(frozen=True)
class Alike:
    """The earlier pictures on one side of the split that a picture may copy, and the likest of them."""

    others: Rows  # at most LOOKED_AT
    likest: tuple[int, float, bool] | None  # which, correlation, mirrored; None where none is a copy


Likenesses = dict[int, tuple[Alike, Alike]]  # by row: on the own side, and on the others


def thumb(image: ImageArray) -> Thumb:
    """A picture [H, W, 3] as SIDE x SIDE grey levels, whatever its shape."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


class Search:
    """Pictures [N, SIDE, SIDE], each on a side of the split [N], to be compared with each other.

    All sums are of numbers that floats hold without rounding, so that what is found does not depend on their order.
    Legend: N pictures, P some of them (rows), Q others beside them (columns), K those that may be copies of one;
    L and M frequencies even and odd across, F all of them, S a side of a picture, D its pixels.
    """

    def __init__(self, pictures_N: npt.NDArray[np.uint8], side_N: npt.NDArray[np.str_]) -> None:
        self._pictures_N, self._side_N = pictures_N, side_N
        even_NL, odd_NM, flat_N = _low_frequencies(pictures_N)
        # [a, -aa/2, 1] by [b, 1, -bb/2] is half the squared distance, negated; mirrored, the odd part changes sign
        half_N1 = ((even_NL**2).sum(axis=1, keepdims=True) + (odd_NM**2).sum(axis=1, keepdims=True)) / 2
        half_N1[flat_N] = FAR
        one_N1 = np.ones_like(half_N1)
        self._rows_NL, self._odd_NM = np.hstack([even_NL, -half_N1, one_N1]), odd_NM
        self._columns_LN = np.ascontiguousarray(np.hstack([even_NL, one_N1, -half_N1]).T)
        self._odd_MN = np.ascontiguousarray(odd_NM.T)

    def near(self, rows_P: Rows) -> BoolArray:
        """Which of all [N] one of `rows_P` may copy, or be copied by, itself included."""
        near_N = np.zeros(len(self._pictures_N), np.bool_)

        def mark(some_P: Rows) -> None:
            for left in range(0, len(near_N), COLUMNS):
                column_K = np.flatnonzero((self._bounds(some_P, left) >= LEAST).any(axis=0))
                near_N[left + column_K] = True  # what other threads have marked stays

        _in_blocks(mark, rows_P)
        return near_N

    def alike(self, rows_P: Rows) -> Likenesses:
        """Those of `rows_P` (ascending) that may copy an earlier picture."""
        return {
            row: (self._likest(row, own_K), self._likest(row, others_K))
            for block in _in_blocks(self._before, rows_P)
            for row, (own_K, others_K) in block
        }

    def _before(self, rows_P: Rows) -> list[tuple[int, tuple[Rows, Rows]]]:
        """(row, the rows before it that it may copy), of those of `rows_P` that may copy any."""
        near: dict[int, list[tuple[Rows, Vectors]]] = defaultdict(list)  # columns and their bounds
        for left in range(0, int(rows_P[-1]), COLUMNS):
            bound_PQ = self._bounds(rows_P, left)
            if left + bound_PQ.shape[1] > rows_P[0]:  # itself and those after it
                bound_PQ[rows_P[:, None] <= np.arange(left, left + bound_PQ.shape[1])] = -np.inf
            for at in np.flatnonzero(bound_PQ.max(axis=1) >= LEAST).tolist():
                column_K = np.flatnonzero(bound_PQ[at] >= LEAST)
                own_K = self._side_N[left + column_K] == self._side_N[rows_P[at]]
                for few_K in _likeliest(bound_PQ[at, column_K], own_K):
                    near[int(rows_P[at])].append((left + column_K[few_K], bound_PQ[at, column_K[few_K]]))
        found = []
        for row in sorted(near):
            column_K, bound_K = (np.concatenate(parts) for parts in zip(*near[row], strict=True))
            own_K, others_K = _likeliest(bound_K, self._side_N[column_K] == self._side_N[row])
            found.append((row, (column_K[own_K], column_K[others_K])))
        return found

    def _bounds(self, rows_P: Rows, left: int) -> Vectors:
        """What the correlation of `rows_P` with COLUMNS pictures from `left` on is at most, less 1 [P, Q]."""
        columns = slice(left, left + COLUMNS)
        bound_PQ: Vectors = self._rows_NL[rows_P] @ self._columns_LN[:, columns]
        bound_PQ += np.abs(self._odd_NM[rows_P] @ self._odd_MN[:, columns])
        return bound_PQ

    def _likest(self, row: int, others_K: Rows) -> Alike:
        if not len(others_K):
            return Alike(others_K, None)
        others_K = np.sort(others_K)  # of equal ones the earliest is told
        own_1D, own_length = _centred(self._pictures_N[row][None])
        pictures_K = self._pictures_N[others_K]
        ways = [_centred(pictures) for pictures in (pictures_K, pictures_K[:, :, ::-1])]
        likeness_2K = np.stack(
            [way_KD @ own_1D[0] / (length_K1[:, 0] * own_length[0, 0]) for way_KD, length_K1 in ways]
        )
        way, best = np.unravel_index(int(likeness_2K.argmax()), likeness_2K.shape)
        likeness = float(likeness_2K[way, best])
        return Alike(others_K, (int(others_K[best]), likeness, bool(way)) if likeness >= SURE else None)


def _in_blocks(look: Callable[[Rows], Block], rows: Rows) -> list[Block]:
    """`look` at ROWS rows at a time, on a pool of threads."""
    from threadpoolctl import threadpool_limits

    blocks = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    # the pool's threads instead of BLAS's: those wait for each other in a loop, which beside other work took 20 times
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(look, blocks))


def _likeliest(bound_K: Vectors, own_K: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """The indices of the few largest bounds on the own side, and on the others."""
    order_K = np.argsort(-bound_K, kind="stable")
    return order_K[own_K[order_K]][:LOOKED_AT], order_K[~own_K[order_K]][:LOOKED_AT]


def _low_frequencies(pictures_N: npt.NDArray[np.uint8]) -> tuple[Vectors, Vectors, BoolArray]:
    """The LOW x LOW lowest frequencies without the mean: even across [N, L], odd [N, M]; which pictures are flat."""
    cosines_FS = np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * np.outer(np.arange(LOW), np.arange(SIDE) + 0.5))
    cosines_FS[0] = np.sqrt(1 / SIDE)
    waves_DF = np.rint(np.kron(cosines_FS, cosines_FS).T * 2**20) / 2**20  # down, then across
    low_NF = np.zeros((len(pictures_N), LOW * LOW), np.float32)
    flat_N = np.zeros(len(pictures_N), np.bool_)
    for start in range(0, len(pictures_N), BLOCK):
        block = slice(start, start + BLOCK)
        grey_ND, length_N1 = _centred(pictures_N[block])
        low_NF[block] = np.rint(grey_ND @ waves_DF / length_N1 * STEPS) / STEPS
        flat_N[block] = length_N1[:, 0] < FLAT * SIDE**3
    even_NL, odd_NM = (low_NF.reshape(-1, LOW, LOW)[:, :, side::2].reshape(len(low_NF), -1) for side in (0, 1))
    return even_NL[:, 1:], odd_NM, flat_N


def _centred(pictures_N: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Grey levels less their mean, times SIDE * SIDE, which makes whole numbers [N, D]; how long these are [N, 1]."""
    grey_ND = pictures_N.reshape(len(pictures_N), -1).astype(np.float64)
    grey_ND = grey_ND * grey_ND.shape[1] - grey_ND.sum(axis=1, keepdims=True)
    return grey_ND, np.maximum(np.sqrt((grey_ND**2).sum(axis=1, keepdims=True)), 1)
