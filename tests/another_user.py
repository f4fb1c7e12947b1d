"""A user whom file permissions bind: root reads everything, and containers run tests as root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UID = 12345


@contextmanager
def another_user() -> Iterator[None]:
    """In the block root is another user; who is bound anyway stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="yolox-open-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)
