"""The five outlines of the synthetic data set, which alone tell its classes apart."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # [n, 2] x, y; centred, at most 1 from the centre


def _star() -> Points:
    """Five rays, with notches at 0.42 of their length: deep enough to tell from a circle at 12 px."""
    points = _around(10)
    points[1::2] *= 0.42
    return points


def _cross() -> Points:
    """Two bars, each a third as wide as long."""
    arm, half = 0.95, 0.32
    corner = [(half, arm), (half, half), (arm, half)]
    points: list[tuple[float, float]] = []
    for _ in range(4):
        points += corner
        corner = [(y, -x) for x, y in corner]
    return np.asarray(points)


def _around(count: int, turn: float = 0.0) -> Points:
    """`count` points on the unit circle, the first at the top, turned by `turn` steps."""
    angles = (np.arange(count) + turn) * 2 * np.pi / count
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


OUTLINES: dict[str, Callable[[], Points]] = {
    "circle": partial(_around, 48),
    "cross": _cross,
    "square": partial(_around, 4, turn=0.5),
    "star": _star,
    "triangle": partial(_around, 3),
}


def outline(name: str, radius: float, angle: float, stretch: float) -> Points:
    """The outline of shape `name`, px around its centre: stretched along x, then turned by `angle` radians."""
    points = OUTLINES[name]() * radius * np.array([stretch, 1 / stretch])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned: Points = points @ turn
    return turned
