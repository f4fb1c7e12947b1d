"""What the conversion of a job's images to 8 bits of color has lost, said once: by kind, with the first image."""

import threading
import warnings
from collections.abc import Iterable

from yolox_core.data.decoding.conversion import Loss


class ConversionLosses:
    """Counts losses by kind; any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: dict[str, str] = {}  # kind -> the first image and what it has lost
        self._counts: dict[str, int] = {}
        self._warned: set[str] = set()

    def add(self, where: str, lost: Iterable[Loss]) -> None:
        """Count what one image has lost."""
        for loss in lost:
            with self._lock:
                self._first.setdefault(loss.code, f"{where}: {loss.what}")
                self._counts[loss.code] = self._counts.get(loss.code, 0) + 1

    def lines(self) -> list[str]:
        """A line for each kind: the first image, and how many more there are."""
        with self._lock:
            return [f"{first}{_more(self._counts[code] - 1)} ({code})" for code, first in self._first.items()]

    def warn(self, level: int = 2) -> None:
        """A UserWarning for each kind that has not had one; `level` is warnings.warn's, from here."""
        with self._lock:
            new = {code: first for code, first in self._first.items() if code not in self._warned}
            self._warned |= set(new)
        for code, first in new.items():
            warnings.warn(f"{first} ({code}). Of other images the same is not repeated.", stacklevel=level)


def _more(count: int) -> str:
    return "" if not count else f", and so in {count} more image{'' if count == 1 else 's'}"
