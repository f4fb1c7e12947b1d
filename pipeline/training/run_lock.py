"""One process at a time in a run folder."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolox_core.errors import InputError

LOCK_TIMEOUT_S = 120.0


@contextmanager
def run_lock(run: Path, within_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the run's lock: after a driver was killed its workers may live for seconds more, and must end first."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("w") as lock:
        deadline = time.monotonic() + within_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError(f"{run}: another process is training this run. Wait for it, or end it.") from None
                time.sleep(0.5)
        yield
