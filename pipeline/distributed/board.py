"""A small actor between the first worker and the driver: reports go in as they happen, the driver takes them out.

The driver may be on another machine than the workers; neither waits for the other. Reports are pickled by the worker
and unpickled by the driver: this process never loads what they are made of, torch above all (seconds, and 0.8 GiB).
"""

from collections import deque

KEPT = 10_000  # reports; a driver that does not look for long loses the oldest, never the training


class Board:
    """Holds reports until they are taken."""

    def __init__(self) -> None:
        self._reports: deque[bytes] = deque(maxlen=KEPT)
        self._refused = False

    def put(self, report: bytes) -> None:
        """Add one report."""
        self._reports.append(report)

    def refuse(self, refusal: bytes) -> None:
        """Add the report of a worker that would not train."""
        self.put(refusal)
        self._refused = True

    def refused(self) -> bool:
        """Whether a worker would not train."""
        return self._refused

    def take(self) -> list[bytes]:
        """All reports since the last call, oldest first."""
        reports = list(self._reports)
        self._reports.clear()
        return reports
