"""What decoders print by themselves, kept from the terminal: an image that fails gets our line, which names it.

OpenCV logs through a level of its own, which OPENCV_LOG_LEVEL still sets. libpng and libjpeg within it write to the C
library's `stderr`. While images are decoded that stream leads nowhere; descriptor 2, Python's sys.stderr and child
processes are not touched. Where there is no glibc nothing is done about those two.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import cv2

_lock = Lock()
_decoding = 0  # threads that are
_shown: int | None = None  # the stream of before


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Nothing of what C libraries write to `stderr` is seen until the last thread is out of its block."""
    global _decoding, _shown
    streams = _streams()
    if streams is None:
        yield
        return
    stderr, nowhere = streams
    with _lock:
        if _decoding == 0:
            _shown, stderr.value = stderr.value, nowhere
        _decoding += 1
    try:
        yield
    finally:
        with _lock:
            _decoding -= 1
            if _decoding == 0:
                stderr.value = _shown


def _forked() -> None:
    """A child begins with no thread in a block, whatever its parent's threads were at."""
    global _lock, _decoding
    streams = _streams()
    if _decoding and streams is not None:
        streams[0].value = _shown
    _lock, _decoding = Lock(), 0


@cache
def _streams() -> tuple[ctypes.c_void_p, int] | None:
    """The C library's `stderr`, and a stream that leads nowhere; None without glibc, whose `stderr` may be set.

    At the first image OpenCV's own log is closed, too.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.register_at_fork(after_in_child=_forked)
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    nowhere = library.fopen(os.fsencode(os.devnull), b"w")
    return (ctypes.c_void_p.in_dll(library, "stderr"), int(nowhere)) if nowhere else None
