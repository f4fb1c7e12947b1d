"""Ctrl-C while a command is starting: nothing has been done yet, so it ends at once, and quietly."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 128 + 2  # as a shell reports Ctrl-C


@contextmanager
def quiet_start() -> Iterator[None]:
    """Around imports: an exception in the middle of one would be shown, or be taken for one of the import's own."""
    before = signal.getsignal(signal.SIGINT)
    # another handler, or none, stays as it was set
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
