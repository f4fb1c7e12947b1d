"""How many pixels are decoded at a time: threads by size, so that memory is bounded whatever the images are.

The header says the size before anything is decoded.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Any

from yolox_core.cpus import cores
from yolox_core.data.decoding.sample_depth import is_decoded_in_words, sample_depth
from yolox_core.data.image_header import declared_size

PIXELS_A_CORE, LEAST_PIXELS = 25_000_000, 100_000_000  # 6 bytes each while one is decoded, 3 afterwards
HEAVY = 3  # times the memory of others: measured at 16 to 18 bytes a pixel
HEAD_BYTES = 256 * 1024  # where most headers end


def most_pixels() -> int:
    """How many pixels may be decoded at a time on this machine."""
    return max(LEAST_PIXELS, PIXELS_A_CORE * cores())


class PixelBudget:
    """Room for so many pixels, in order of arrival: the next one waits until there is enough.

    An image that is larger than all of it is taken alone.
    """

    def __init__(self, most: int) -> None:
        self._most: float = most
        self._held, self._arrived, self._next = 0, 0, 0
        self._changed = Condition()

    def take(self, pixels: int, turn: int | None = None) -> None:
        """Wait for room, and take it. `turn`: from 0 on, each taken once; None: in the order in which they come."""
        with self._changed:
            if turn is None:
                turn, self._arrived = self._arrived, self._arrived + 1
            self._changed.wait_for(lambda: self._next >= turn and (not self._held or self._held + pixels <= self._most))
            self._next += 1
            self._held += pixels
            self._changed.notify_all()

    def give_back(self, pixels: int) -> None:
        """Free what was taken."""
        with self._changed:
            self._held -= pixels
            self._changed.notify_all()

    def open(self) -> None:
        """Admit all that wait: nothing will be given back any more."""
        with self._changed:
            self._most, self._next = math.inf, 1 << 62
            self._changed.notify_all()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """`take` and `give_back` around a block."""
        self.take(pixels)
        try:
            yield
        finally:
            self.give_back(pixels)


def pixels_of(data: bytes) -> int:
    """How many pixels a file says it has; most_pixels() where it does not say: such a one is decoded alone.

    Each pixel of more than 8 bits, of JPEG 2000 and of AVIF counts as three: so much more do their decoders hold.
    """
    size = declared_size(data)
    if size is None:
        return most_pixels()
    is_heavy = is_decoded_in_words(data) or sample_depth(data).is_deep
    return size[0] * size[1] * (HEAVY if is_heavy else 1)


def pixels_in(source: Any) -> int:
    """The same of a file's path or pixels, too; 0 for what cannot be read, which takes no room."""
    if isinstance(source, bytes):
        return pixels_of(source)
    if isinstance(source, (str, Path)):
        if not os.path.isfile(source):  # a pipe gives its bytes once, and may give none for ever
            return 0
        try:
            with open(source, "rb") as file:
                head = file.read(HEAD_BYTES)
                if len(head) == HEAD_BYTES and declared_size(head) is None:
                    head += file.read()
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return 0
        return pixels_of(head) if head else 0
    shape: tuple[int, ...] = getattr(source, "shape", (0,))
    return math.prod(shape[:2])
