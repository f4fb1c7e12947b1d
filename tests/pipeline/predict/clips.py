"""Short videos for the tests, written by OpenCV."""

from pathlib import Path

import cv2
import numpy as np

CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}


def clip(path: Path, frames: int = 30, per_second: float = 10.0, size: tuple[int, int] = (60, 80)) -> Path:
    """Noise frames of (height, width), each different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODECS[path.suffix]), per_second, size[::-1])
    assert writer.isOpened()
    for number in range(frames):
        noise = np.random.default_rng(number).integers(0, 256, (size[0] // 10, size[1] // 10, 3)).astype(np.uint8)
        writer.write(cv2.resize(noise, size[::-1], interpolation=cv2.INTER_NEAREST))
    writer.release()
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """The file's first part, in its place."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
