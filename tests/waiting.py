"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], within_s: float, every_s: float = 0.05) -> None:
    """Wait until `holds()`; TimeoutError where it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:.0f} s")
        time.sleep(every_s)
