"""What was seen of image files before, kept in one SQLite file, so that a second look decodes only what has changed.

A file is as it was where its name, size, times (mtime, ctime) and inode are; else what was seen of a file of the same
content counts. What other code has seen, or other versions of the decoders, is dropped. The file may be deleted at any
time.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Row:
    """What is kept of one file."""

    height: int
    width: int
    digest: str
    problem: tuple[str, str] | None
    notes: tuple[tuple[str, str], ...]
    thumb: bytes


def stamp(path: Path) -> str | None:
    """What tells whether a file has changed; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    if not S_ISREG(found.st_mode):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


class KnownImages:
    """The store at `path`; use as a context. sqlite3.Error where it cannot be opened, OSError where its folder cannot.

    Once it fails later (a full disk, a damaged file), `failed` says why, and it is used no more.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.failed: str | None = None
        self._table = f"images_{code_digest()[:16]}"  # of this code's own shape
        self._resolved: dict[Path, bytes] = {}
        self._folders: dict[bytes, dict[bytes, tuple[str, Sequence[Any]]]] = {}
        self._asked: set[tuple[bytes, bytes]] = set()
        self._new: list[tuple[object, ...]] = []
        self._lock = Lock()
        self._database = sqlite3.connect(path, timeout=WAIT_S, check_same_thread=False)  # under the lock
        with self._database:
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (folder BLOB, name BLOB, stamp TEXT, suffix BLOB, "
                "digest TEXT, seen TEXT, thumb BLOB, PRIMARY KEY (folder, name))"
            )
            self._database.execute(f"CREATE INDEX IF NOT EXISTS {self._table}_of ON {self._table} (digest, suffix)")

    def __enter__(self) -> "KnownImages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._new:
            self._write()
            if kind is None:
                self._forget()
        self._database.close()

    def row(self, path: Path, now: str) -> Row | None:
        """What is known of a file that is as it was; None of others."""
        folder, name = self._folder(path.parent), os.fsencode(path.name)
        with self._lock:
            if folder not in self._folders:
                found = self._ask("name, stamp, digest, seen, thumb", "folder = ?", folder)
                self._folders[folder] = {known: (then, seen) for known, then, *seen in found}
        self._asked.add((folder, name))
        then, seen = self._folders[folder].get(name, ("", ()))
        return self._row(seen) if then == now else None

    def row_of_content(self, digest: str, suffix: str) -> Row | None:
        """What is known of any file with this content and suffix."""
        with self._lock:
            found = self._ask("digest, seen, thumb", "digest = ? AND suffix = ? LIMIT 1", digest, os.fsencode(suffix))
        return self._row(found[0]) if found else None

    def remember(self, path: Path, now: str, row: Row) -> None:
        """Keep what a file with this stamp is."""
        seen = json.dumps([row.height, row.width, row.problem, row.notes])
        key = (self._folder(path.parent), os.fsencode(path.name))
        self._new.append((*key, now, os.fsencode(path.suffix), row.digest, seen, row.thumb))
        if len(self._new) >= AT_ONCE:
            self._write()

    def _folder(self, path: Path) -> bytes:
        if path not in self._resolved:
            self._resolved[path] = os.fsencode(path.resolve())
        return self._resolved[path]

    def _ask(self, columns: str, where: str, *values: str | bytes) -> list[Any]:
        if self.failed is None:
            try:
                return self._database.execute(f"SELECT {columns} FROM {self._table} WHERE {where}", values).fetchall()
            except sqlite3.Error as failed:
                self.failed = str(failed)
        return []

    def _row(self, seen: Sequence[Any]) -> Row | None:
        try:
            digest, text, thumb = seen
            height, width, problem, notes = json.loads(text)
            side = int(len(thumb) ** 0.5)
            if side * side != len(thumb):
                raise ValueError("a thumbnail that is no square")
            said = None if problem is None else (problem[0], problem[1])
            return Row(int(height), int(width), digest, said, tuple((code, what) for code, what in notes), thumb)
        except (ValueError, TypeError, IndexError) as damaged:  # SQLite keeps no checksums
            self.failed = f"damaged: {damaged}"
            return None

    def _write(self) -> None:
        rows, self._new = self._new, []
        self._change([(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)])

    def _forget(self) -> None:
        """Drop what other code saw, folders that were deleted, and files of folders at hand that were."""
        with self._lock:
            tables = self._names("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'images_%'")
            folders = self._names(f"SELECT DISTINCT folder FROM {self._table}")
        # what is only not mounted now stays: its parent is gone, too, or it is there and empty
        lost = [(folder,) for folder in folders if not os.path.isdir(folder) and os.path.isdir(os.path.dirname(folder))]
        files = [
            (folder, name)
            for folder, names in self._folders.items()
            for name in names
            if (folder, name) not in self._asked and not os.path.exists(os.path.join(folder, name))
        ]
        self._change(
            [
                *((f"DROP TABLE {table}", None) for table in tables if table != self._table),
                (f"DELETE FROM {self._table} WHERE folder = ?", lost),
                (f"DELETE FROM {self._table} WHERE folder = ? AND name = ?", files),
            ]
        )

    def _names(self, question: str) -> list[Any]:
        try:
            return [name for (name,) in self._database.execute(question)] if self.failed is None else []
        except sqlite3.Error as failed:
            self.failed = str(failed)
            return []

    def _change(self, changes: Sequence[tuple[str, Sequence[tuple[object, ...]] | None]]) -> None:
        """All commands or none, each for each of its rows, or once (None)."""
        if self.failed is not None:
            return
        try:
            with self._lock, self._database:
                for command, rows in changes:
                    if rows is None:
                        self._database.execute(command)
                    else:
                        self._database.executemany(command, rows)
        except sqlite3.Error as failed:
            self.failed = str(failed)


@lru_cache
def code_digest() -> str:
    """Names the code and the decoders that look."""
    here = Path(__file__).parent
    texts = [(here / name).read_bytes() for name in CODE]
    versions = f"{cv2.__version__} {version('pillow')} {np.__version__}".encode()
    return hashlib.sha256(b"\0".join([*texts, versions])).hexdigest()
