"""Textures, light and camera of the synthetic scenes. Pictures are float32 [height, width, 3], 0 to 255."""

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.structures import ImageArray

Float = npt.NDArray[np.float32]


def textured(rng: np.random.Generator, height: int, width: int) -> Float:
    """A background: a colour gradient, noise at several octaves, sometimes stripes and scratches."""
    picture = _gradient(rng, height, width)
    for cell_px, strength in ((96, 22.0), (32, 12.0), (10, 8.0), (3, 5.0)):
        picture += _noise(rng, height, width, cell_px) * float(rng.uniform(0.3, 1.0)) * strength
    if rng.random() < 0.4:
        picture += _stripes(rng, height, width)[..., None] * float(rng.uniform(5, 18))
    for _ in range(int(rng.integers(0, 5))):
        ends = rng.uniform(0, (width, height), (2, 2)).astype(int).tolist()
        colour = tuple(float(value) for value in rng.uniform(30, 225, 3))
        cv2.line(picture, ends[0], ends[1], colour, 1, cv2.LINE_AA)
    return picture


def surface(rng: np.random.Generator, colour: Float, height: int, width: int) -> Float:
    """An object's fill: plain, stripes, blotches or shading around `colour`."""
    fill = np.broadcast_to(colour, (height, width, 3)).astype(np.float32)
    kind = int(rng.integers(4))
    if kind == 1:
        fill += _stripes(rng, height, width)[..., None] * float(rng.uniform(10, 30))
    if kind == 2:
        fill += _noise(rng, height, width, max(3, min(height, width) // 5)) * 14
    if kind == 3:
        fill += _ramp(rng, height, width)[..., None] * float(rng.uniform(15, 45))
    return fill


def photographed(rng: np.random.Generator, picture: Float) -> ImageArray:
    """The picture under uneven light, a little out of focus, with sensor noise."""
    height, width = picture.shape[:2]
    light = 1 + _ramp(rng, height, width)[..., None] * float(rng.uniform(0, 0.3))
    lit = picture * light * float(rng.uniform(0.85, 1.1))
    sigma = float(rng.uniform(0, 1.2))
    if sigma > 0.3:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), sigma), np.float32)
    lit += rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0, 6))
    return np.clip(lit, 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Float:
    first = rng.uniform(40, 215, 3)
    other = np.clip(first + rng.uniform(-50, 50, 3), 20, 235)
    share = (_ramp(rng, height, width)[..., None] + 1) / 2
    return (first * (1 - share) + other * share).astype(np.float32)


def _ramp(rng: np.random.Generator, height: int, width: int) -> Float:
    """A plane from -1 to 1 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    plane = (x[None, :] + y[:, None]) / (abs(np.cos(angle)) + abs(np.sin(angle)))
    return np.asarray(plane, np.float32)


def _noise(rng: np.random.Generator, height: int, width: int, cell_px: int) -> Float:
    """Smooth coloured noise whose blotches measure about `cell_px`."""
    coarse = rng.standard_normal((height // cell_px + 2, width // cell_px + 2, 3), np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _stripes(rng: np.random.Generator, height: int, width: int) -> Float:
    """Parallel waves from -1 to 1."""
    angle, period_px = rng.uniform(0, np.pi), rng.uniform(5, 24)
    x = np.arange(width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.arange(height, dtype=np.float32) * np.float32(np.sin(angle))
    waves: Float = np.sin((x[None, :] + y[:, None]) * np.float32(2 * np.pi / period_px))
    return waves
