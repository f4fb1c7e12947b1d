"""The lock of a run folder: one process at a time trains in it.

After a driver was killed its workers live for seconds more and still write checkpoints; whoever trains the run next
waits for them here. The first worker of a training holds it, as do a sweep, a trial and a study. The operating system
frees the lock of a process that was killed; the file stays, since removing it would let two in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from yolox_core.errors import InputError

LOCK_TIMEOUT_S = 120.0


@contextmanager
def run_lock(run: Path, within_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the run's lock: after a driver was killed its workers may live for seconds more, and must end first."""
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / "lock", poll_interval=0.5)
    try:
        lock.acquire(timeout=within_s)
    except Timeout:
        raise InputError(f"{run}: another process works in this folder. Wait for it, or end it.") from None
    try:
        yield
    finally:
        lock.release()


def is_locked(run: Path) -> bool:
    """Whether another holds the run's lock."""
    if not (run / "lock").is_file():
        return False
    with lock_if_free(run) as free:
        return not free


@contextmanager
def lock_if_free(run: Path) -> Iterator[bool]:
    """Whether nobody else holds the run's lock; where that is so it is held for the block."""
    lock = FileLock(run / "lock", timeout=0)
    try:
        lock.acquire()
    except OSError:  # held by another, or nobody can tell
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
