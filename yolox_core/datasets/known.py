"""What was seen of image files before, kept in one SQLite file, so that a second look decodes only what has changed.

A file is as it was where its name, size, time of change and inode are, as for git and DVC; else what was seen of a file
of the same content counts. What other code has seen, or other versions of the decoders, does not. The file may be
deleted at any time.
"""

import hashlib
import json
import os
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from types import TracebackType
from typing import Any

import cv2
import numpy as np

CODE = ("seen.py", "known.py", "duplicates.py", "image_facts.py", "image_header.py", "images.py")  # that looks
AT_ONCE = 2000  # rows written together: what an interrupted look loses
WAIT_S = 30.0  # for another process that writes

Stamp = tuple[int, int, int]  # bytes, time in ns, inode


@dataclass(frozen=True)
class Row:
    """What is kept of one file."""

    height: int
    width: int
    digest: str
    problem: tuple[str, str] | None
    notes: tuple[tuple[str, str], ...]
    thumb: bytes


def stamp(path: Path) -> Stamp | None:
    """What tells whether a file has changed; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # a name that no file can have
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if S_ISREG(found.st_mode) else None


class KnownImages:
    """The store at `path`; use as a context. sqlite3.Error where it cannot be opened, OSError where its folder cannot.

    Once it fails later (a full disk, a damaged file), `failed` says why, and it is used no more.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.failed: str | None = None
        self._folders: dict[bytes, dict[bytes, tuple[Stamp, Row]]] = {}
        self._new: list[tuple[object, ...]] = []
        self._lock = Lock()
        self._database = sqlite3.connect(path, timeout=WAIT_S, check_same_thread=False)  # under the lock
        with self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS images (folder BLOB, name BLOB, code TEXT, bytes INTEGER, time INTEGER, "
                "inode INTEGER, suffix BLOB, digest TEXT, seen TEXT, thumb BLOB, PRIMARY KEY (folder, name))"
            )
            self._database.execute("CREATE INDEX IF NOT EXISTS contents ON images (digest, suffix, code)")

    def __enter__(self) -> "KnownImages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._new:
            self._write()
            self._forget_lost_folders()
        self._database.close()

    def row(self, path: Path, now: Stamp) -> Row | None:
        """What is known of a file that is as it was; None of others."""
        folder = _folder(path.parent)
        with self._lock:
            if folder not in self._folders:
                found = self._ask("name, bytes, time, inode, digest, seen, thumb", "folder = ?", folder)
                self._folders[folder] = {
                    name: ((size, time, inode), _row(*seen)) for name, size, time, inode, *seen in found
                }
        then, row = self._folders[folder].get(os.fsencode(path.name), (None, None))
        return row if then == now else None

    def row_of_content(self, digest: str, suffix: str) -> Row | None:
        """What is known of any file with this content and suffix."""
        with self._lock:
            found = self._ask("digest, seen, thumb", "digest = ? AND suffix = ?", digest, os.fsencode(suffix))
        return _row(*found[0]) if found else None

    def remember(self, path: Path, now: Stamp, row: Row) -> None:
        """Keep what a file with this stamp is."""
        seen = json.dumps([row.height, row.width, row.problem, row.notes])
        key = (_folder(path.parent), os.fsencode(path.name), code_digest())
        self._new.append((*key, *now, os.fsencode(path.suffix), row.digest, seen, row.thumb))
        if len(self._new) >= AT_ONCE:
            self._write()

    def _ask(self, columns: str, where: str, *values: str | bytes) -> list[Any]:
        if self.failed is None:
            try:
                question = f"SELECT {columns} FROM images WHERE {where} AND code = ?"
                return self._database.execute(question, (*values, code_digest())).fetchall()
            except sqlite3.Error as failed:
                self.failed = str(failed)
        return []

    def _write(self) -> None:
        rows, self._new = self._new, []
        try:
            with self._lock, self._database:
                if self.failed is None:
                    self._database.executemany(f"INSERT OR REPLACE INTO images VALUES ({', '.join('?' * 10)})", rows)
        except sqlite3.Error as failed:
            self.failed = str(failed)

    def _forget_lost_folders(self) -> None:
        try:
            with self._lock, self._database:
                for (folder,) in self._database.execute("SELECT DISTINCT folder FROM images").fetchall():
                    if not os.path.isdir(folder):
                        self._database.execute("DELETE FROM images WHERE folder = ?", (folder,))
        except sqlite3.Error as failed:
            self.failed = str(failed)


@lru_cache
def code_digest() -> str:
    """Names the code and the decoders that look."""
    here = Path(__file__).parent
    texts = [(here / name).read_bytes() for name in CODE]
    versions = f"{cv2.__version__} {version('pillow')} {np.__version__}".encode()
    return hashlib.sha256(b"\0".join([*texts, versions])).hexdigest()


@lru_cache(maxsize=1 << 16)
def _folder(path: Path) -> bytes:
    return os.fsencode(path.resolve())


def _row(digest: str, seen: str, thumb: bytes) -> Row:
    height, width, problem, notes = json.loads(seen)
    said = None if problem is None else (problem[0], problem[1])
    return Row(height, width, digest, said, tuple((code, what) for code, what in notes), thumb)
