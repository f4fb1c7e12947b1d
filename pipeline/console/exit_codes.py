"""How every command ends: done (0), or refused with one clear line on standard error (2).

A defect of the program keeps its traceback. Nothing here knows what a command does.
"""

import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.console.extras import extras
from yolox_core.errors import InputError, full_disk, on_one_line

# what the operating system says of paths and disks; anything else is a defect of the program
OF_THE_PLACE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an InputError, a missing extra, or a place that cannot be read or written, into its line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding has no signs for
    try:
        with extras():
            yield
    except InputError as refused:
        print(f"error: {refused}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as failed:
        if failed.errno not in OF_THE_PLACE:
            raise
        disk = full_disk(failed)
        where, what = failed.filename or disk or "a file", failed.strerror if disk is None else f"{disk} is full"
        print(on_one_line(f"error: {where}: {what}. Check the path and the disk."), file=sys.stderr)
        raise SystemExit(2) from None
