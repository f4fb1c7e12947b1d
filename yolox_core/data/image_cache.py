"""Images as the first step of every variation needs them: decoded and fitted into the input size.

Decoding and shrinking a photograph costs several times the variations that follow, and comes out the same every
epoch. What is kept is the result of that very step, so a hit and a miss give the same bytes; keyed by input size,
because shrinking in two steps (once to the largest training size, once to the batch's) would blur differently.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from yolox_core.data.decoding.conversion import ValueRange
from yolox_core.data.geometry import Size, fitted_size, resized
from yolox_core.data.image_io import read_image
from yolox_core.structures import ImageArray

DEFAULT_CACHE_BYTES = 1 << 30


class ImageCache:
    """Reads images fitted into a size, and keeps up to `limit_bytes` of them in memory.

    Images asked for at random are kept as they come: any that fit serve as well as the latest. Where they are asked
    for in pools (`latest`) the oldest make room. One thread at a time. Copies sent to loader workers start empty.
    """

    def __init__(
        self, limit_bytes: int = DEFAULT_CACHE_BYTES, latest: bool = False, value_range: ValueRange | None = None
    ) -> None:
        self.limit_bytes, self.latest, self.value_range = limit_bytes, latest, value_range
        self.used_bytes = 0
        self._kept: dict[tuple[int, Size], tuple[ImageArray, Size]] = {}

    def fitted(self, index: int, locate: Callable[[], Path], size: Size) -> tuple[ImageArray, Size]:
        """The image where `locate` says fitted into `size`, read-only, and its (height, width) on disk."""
        key = (index, size)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        source = read_image(locate(), self.value_range)
        source_size = (int(source.shape[0]), int(source.shape[1]))
        image = resized(source, fitted_size(source_size, size))
        image.flags.writeable = False
        while self.latest and self._kept and self.used_bytes + image.nbytes > self.limit_bytes:
            self.used_bytes -= self._kept.pop(next(iter(self._kept)))[0].nbytes
        if self.used_bytes + image.nbytes <= self.limit_bytes:
            self.used_bytes += image.nbytes
            self._kept[key] = (image, source_size)
        return image, source_size

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"used_bytes": 0, "_kept": {}}
