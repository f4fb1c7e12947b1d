"""Pictures that are copies of each other: resized, recompressed or mirrored.

Each picture becomes a small grey one; two are alike where those correlate. Pairs that do so at 16 x 16 are looked at
again at 32 x 32. Measured on 564 photographs and micrographs and 500 rendered scenes: copies lie above .98 (shrunk
to a third without smoothing .982, all others above .99), the nearest different pictures at .976 and .95. One shrunk by
leaving pixels out may be missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.structures import ImageArray

Thumb = npt.NDArray[np.uint8]  # [SIDE, SIDE] grey
Vectors = npt.NDArray[np.float32]  # [N, D], without mean, of length 1

SIDE, COARSE = 32, 16
LIKELY, SURE = 0.95, 0.98  # correlation at COARSE and at SIDE
FLAT = 2.0  # standard deviation in grey levels; a picture with less has nothing to compare
BLOCK = 256  # rows compared at a time
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
    coarse_ND, mirrored_ND = _coarse(fine_N), _coarse(mirror_N)
    for start in range(0, len(usable), BLOCK):
        end = min(start + BLOCK, len(usable))
        plain_BN, turned_BN = (coarse_ND[start:end] @ others[:end].T for others in (coarse_ND, mirrored_ND))
        like_BN = np.maximum(plain_BN, turned_BN)
        for row in range(start, end):
            like_N = like_BN[row - start, :row]
            for group in _groups(like_N, side_N, row):
                found = _likest(fine_N, mirror_N, row, group)
                if found is not None:
                    other, likeness, mirrored = found
                    yield Pair(usable[other], usable[row], likeness, mirrored)


def _groups(like_N: Vectors, side_N: npt.NDArray[np.str_], row: int) -> Iterator[npt.NDArray[np.int64]]:
    """The few likeliest earlier pictures on the picture's own side, then those on the others."""
    likely = np.flatnonzero(like_N >= LIKELY)
    if len(likely):
        own = side_N[likely] == side_N[row]
        for group in (likely[own], likely[~own]):
            yield group[np.argsort(-like_N[group], kind="stable")[:LOOKED_AT]]


def _likest(
    fine_N: npt.NDArray[np.uint8], mirror_N: npt.NDArray[np.uint8], row: int, group: npt.NDArray[np.int64]
) -> tuple[int, float, bool] | None:
    """(index, correlation, mirrored) of the likest of a group; None where none is a copy."""
    if not len(group):
        return None
    own_D = _vectors(fine_N[row][None])[0]
    likeness_2K = np.stack([_vectors(others[group]) @ own_D for others in (fine_N, mirror_N)])
    way, best = np.unravel_index(int(likeness_2K.argmax()), likeness_2K.shape)
    likeness = float(likeness_2K[way, best])
    return (int(group[best]), likeness, bool(way)) if likeness >= SURE else None


def _coarse(thumbs_N: npt.NDArray[np.uint8]) -> Vectors:
    half = SIDE // COARSE
    return _vectors(thumbs_N.reshape(-1, COARSE, half, COARSE, half).mean(axis=(2, 4), dtype=np.float32))


def _vectors(pictures_N: npt.NDArray[np.generic]) -> Vectors:
    flat_ND = pictures_N.reshape(len(pictures_N), -1).astype(np.float32)
    flat_ND -= flat_ND.mean(axis=1, keepdims=True)
    length_N = np.linalg.norm(flat_ND, axis=1, keepdims=True)
    vectors: Vectors = flat_ND / np.maximum(length_N, 1e-6)
    return vectors
