"""What was seen of image files before, kept in one SQLite file, so that a second look decodes only what has changed.

A file is as it was where its name, size, times (mtime, ctime) and inode are; else what was seen of a file of the same
content counts. What other code has seen, or other versions of the decoders, is dropped. The file may be deleted at any
time.
"""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Collection, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import numpy as np

from pipeline.config.code_digest import code_digest
from pipeline.data.scan.duplicate_cache import DuplicateCache
from yolox_core.errors import reason

# what looks, or says how what was seen is kept
CODE = (
    "pipeline.data.scan.image_scan",
    "pipeline.data.scan.image_metadata",
    "pipeline.data.scan.near_duplicates",
    "pipeline.data.scan.duplicate_cache",
    "pipeline.data.scan.scan_cache",
)
WRITTEN_AT_ONCE = 2000  # rows: what an interrupted look loses
COMPARISONS = 16  # kept, the latest of each data set
COLUMNS = "digest, height, width, notes, thumb, checksum"
_OURS = re.compile("(images|compared)_[0-9a-f]{16}")
WAIT_S = 30.0  # for another process that writes


class Row(NamedTuple):  # a hundred thousand of them are quicker made than of a dataclass
    """What is kept of one file that could be opened."""

    height: int
    width: int
    digest: str
    notes: tuple[tuple[str, str], ...]
    thumb: bytes


def stamp(path: str | Path) -> str | None:
    """What tells whether a file has changed; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    if not S_ISREG(found.st_mode):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


class ScanCache:
    """The store at `path`, of images read by `value_range`; use as a context.

    sqlite3.Error where it cannot be opened, OSError where its folder cannot.

    Once it fails later (a full disk, a damaged file), `failed` says why, and it is used no more.
    """

    def __init__(self, path: Path, value_range: tuple[float, float] | None = None) -> None:
        self._reading = "" if value_range is None else " {:g} {:g}".format(*value_range)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.failed: str | None = None
        self._table, self._compared = (f"{kind}_{scan_digest()[:16]}" for kind in ("images", "compared"))
        self._resolved: dict[str, bytes] = {}
        self._folders: dict[bytes, dict[bytes, Sequence[Any]]] = {}  # rows by name
        self._new: list[tuple[object, ...]] = []
        self._lock = Lock()
        self._database = sqlite3.connect(path.absolute(), timeout=WAIT_S, check_same_thread=False)  # under the lock
        with self._database:
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (folder BLOB, name BLOB, stamp TEXT, suffix BLOB, "
                "digest TEXT, height INTEGER, width INTEGER, notes TEXT, thumb BLOB, checksum INTEGER, "
                "PRIMARY KEY (folder, name))"
            )
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._compared} (folders BLOB PRIMARY KEY, state BLOB)"
            )
            self._database.execute(f"CREATE INDEX IF NOT EXISTS {self._table}_of ON {self._table} (digest, suffix)")

    def __enter__(self) -> "ScanCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._new:
            self._write()
            if kind is None:
                self._forget()
        self._database.close()

    def row(self, path: str, now: str) -> Row | None:
        """What is known of a file that is as it was; None of others."""
        place, name = os.path.split(path)
        folder = self._folder(place)
        if folder not in self._folders:
            with self._lock:
                found = self._ask(f"name, stamp, {COLUMNS} FROM {self._table} WHERE folder = ?", folder)
            self._folders[folder] = {row[0]: row for row in found}
        row = self._folders[folder].get(os.fsencode(name))
        return _row(*row[2:]) if row is not None and row[1] == now + self._reading else None

    def row_of_content(self, digest: str, suffix: str) -> Row | None:
        """What is known of any file with this content and suffix."""
        with self._lock:
            where = "digest = ? AND suffix = ? LIMIT 1"
            found = self._ask(
                f"{COLUMNS} FROM {self._table} WHERE {where}", digest, os.fsencode(suffix + self._reading)
            )
        return _row(*found[0]) if found else None

    def remember(self, path: str, now: str, row: Row) -> None:
        """Keep what a file with this stamp is."""
        place, name = os.path.split(path)
        suffix = os.fsencode(os.path.splitext(name)[1] + self._reading)
        content = (row.digest, row.height, row.width, json.dumps(row.notes) if row.notes else None, row.thumb)
        now += self._reading
        self._new.append((self._folder(place), os.fsencode(name), now, suffix, *content, _checksum(*content)))
        if len(self._new) >= WRITTEN_AT_ONCE:
            self._write()

    def compared(self) -> DuplicateCache | None:
        """What was found when the images of the folders asked for were last compared with each other."""
        with self._lock:
            rows = self._ask(f"state FROM {self._compared} WHERE folders = ?", self._folders_digest())
        try:
            return DuplicateCache.from_bytes(rows[0][0]) if rows else None
        except (ValueError, TypeError):  # damaged; the next one takes its place
            return None

    def remember_compared(self, compared: DuplicateCache) -> None:
        """Keep what was found among the images of the folders asked for."""
        table = self._compared
        late = f"SELECT rowid FROM {table} ORDER BY rowid DESC LIMIT ?"
        self._change(
            [
                (f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", [(self._folders_digest(), compared.to_bytes())]),
                (f"DELETE FROM {table} WHERE rowid NOT IN ({late})", [(COMPARISONS,)]),
            ]
        )

    def _folders_digest(self) -> bytes:
        return hashlib.sha256(b"\0".join(sorted(self._folders)) + self._reading.encode()).digest()

    def _folder(self, place: str) -> bytes:
        if place not in self._resolved:
            self._resolved[place] = os.fsencode(os.path.realpath(place))
        return self._resolved[place]

    def _ask(self, what: str, *values: str | bytes) -> list[Any]:
        if self.failed is None:
            try:
                return self._database.execute(f"SELECT {what}", values).fetchall()
            except sqlite3.Error as failed:
                self.failed = reason(failed)
        return []

    def _write(self) -> None:
        rows, self._new = self._new, []
        self._change([(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)])

    def _forget(self) -> None:
        """Drop what other code saw, folders that were deleted, and files of folders at hand that were."""
        with self._lock:
            tables = [name for (name,) in self._ask("name FROM sqlite_master WHERE type = 'table'")]
            others = [name for name in tables if _OURS.fullmatch(name) and name not in (self._table, self._compared)]
            folders = [folder for (folder,) in self._ask(f"DISTINCT folder FROM {self._table}")]
        # what is only not mounted now stays: its parent is gone, too, or it is there and empty
        lost = [(folder,) for folder in folders if not os.path.isdir(folder) and os.path.isdir(os.path.dirname(folder))]
        files = [(folder, name) for folder, rows in self._folders.items() for name in _lost(folder, rows.keys())]
        self._change(
            [
                *((f"DROP TABLE {table}", None) for table in others),
                (f"DELETE FROM {self._table} WHERE folder = ?", lost),
                (f"DELETE FROM {self._table} WHERE folder = ? AND name = ?", files),
            ]
        )

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
            self.failed = reason(failed)


def _row(digest: Any, height: Any, width: Any, notes: Any, thumb: Any, checksum: Any) -> Row | None:
    """What was kept; None where it was damaged, for SQLite keeps no checksums."""
    if not isinstance(thumb, bytes) or _checksum(digest, height, width, notes, thumb) != checksum:
        return None
    said = () if notes is None else tuple((code, what) for code, what in json.loads(notes))
    return Row(height, width, digest, said, thumb)


def _checksum(digest: Any, height: Any, width: Any, notes: Any, thumb: bytes) -> int:
    return crc32(thumb, crc32(f"{digest!r} {height!r} {width!r} {notes!r}".encode()))


def _lost(folder: bytes, names: Collection[bytes]) -> list[bytes]:
    """Those of the names that no file of the folder has now."""
    try:
        listed = set(os.listdir(folder))
    except OSError:  # gone, or not to be listed
        return []
    return [name for name in names if name not in listed and not os.path.lexists(os.path.join(folder, name))]


@lru_cache
def scan_digest() -> str:
    """Names the code and the decoders that look."""
    versions = (cv2.__version__, version("pillow"), np.__version__)
    return hashlib.sha256("\0".join([code_digest(CODE), *versions]).encode()).hexdigest()
