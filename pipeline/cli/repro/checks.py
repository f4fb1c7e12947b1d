"""What would end a run of DVC with an "unexpected error", found before it begins: one line each."""

import fcntl
import json
import os
import stat
import time
from pathlib import Path

import psutil

from pipeline.cli.repro.processes import is_dvc
from pipeline.config import paths
from pipeline.config.project_lock import dvc_root
from pipeline.config.settings import DataSettings
from pipeline.config.user_paths import source_folder
from pipeline.registry.store import ARTIFACTS, DATABASE
from yolox_core.errors import InputError

WRITTEN = (
    paths.RAW.parent,
    paths.RAW,
    paths.VALID_ANNOTATIONS.parent,
    paths.PREPARED,
    paths.TRAINED.parent,
    paths.TRAINED,
    paths.RELEASED,
    paths.METRICS.parent,
    paths.RUNS,
    paths.GRAPH_RECORD,
    Path(DATABASE),
    Path(ARTIFACTS),
)
STATE = ("", "tmp", "cache", "cache/files", "cache/files/md5", "cache/runs")
LOCKS = ("tmp/lock", "tmp/rwlock")
DVC_WAITS_S = 3.0  # for its lock, by itself
LOOK_EVERY_S = 0.2


def check_place() -> None:
    """InputError where this folder is no project, may not be written, or has a name that DVC cannot work with."""
    if set("{}") & set(str(Path.cwd())):  # DVC formats a text that holds it
        raise InputError(f"{Path.cwd()}: expected a folder without braces, in which DVC fails. Move the project.")
    root = dvc_root()
    for needed in (paths.GRAPH, paths.PARAMS):
        if not needed.is_file():
            raise InputError(f"{needed}: no such file in {Path.cwd()}. Run in the folder of a project.")
    state, locks = ([root / ".dvc" / name for name in names] for names in (STATE, LOCKS))
    for path in (Path.cwd(), *WRITTEN, *state, *locks):
        _check_not_in_the_way(path, is_file=path in {paths.GRAPH_RECORD, Path(DATABASE), *locks})
        if path.exists():
            _check_writable(path)


def _check_not_in_the_way(path: Path, is_file: bool) -> None:
    """InputError where a file has the place of a folder or the reverse, or a link leads to a missing disk."""
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"{path}: expected a place to write to, got a link to {path.readlink()}, which does not exist. "
            "Mount or create it, or remove the link."
        )
    if path.exists() and path.is_dir() == is_file:
        wanted, got = ("a file", "a folder") if is_file else ("a folder", "a file")
        raise InputError(f"{path}: expected {wanted} or nothing, got {got}. Move it away.")


def _check_writable(path: Path) -> None:
    if os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK):
        return
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise InputError(
            f"{path}: expected a place to write to, got a read-only file system. Copy the project to a disk that "
            "this user may write to."
        )
    raise InputError(f"{path}: expected a place that {_user()} may write to, got {_mode(path)}. Run as its owner.")


def check_sources(data: DataSettings) -> None:
    """InputError where a source on this machine is not there, or this user may not read it."""
    for source in data.sources:
        if source.is_remote:
            continue
        path = source_folder(source.local_path)
        try:
            if not path.exists():
                raise InputError(f"data.source: {path}: no such file or folder. Check the path.")
        except PermissionError:
            raise InputError(f"data.source: {path}: {_user()} may not read its parent folders. Allow it.") from None
        if not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK):
            raise InputError(
                f"data.source: {path}: expected a place that may be read by this user ({_user()}), got {_mode(path)}. "
                "Run as its owner, or allow it: chmod -R a+rX."
            )


def check_dvc_is_free() -> None:
    """InputError where another DVC command works in this project; what a killed one left of its locks is removed."""
    folder = dvc_root() / ".dvc" / "tmp"
    holder = _lock_holder(folder / "lock")
    if holder is None:
        holder = _rwlock_holder(folder / "rwlock")
    if holder is not None:
        raise InputError(
            f"{Path.cwd()}: another DVC command works in this project (process {holder}). Wait for its end, or end it."
        )


def _lock_holder(lock: Path) -> str | None:
    """The process that holds DVC's lock for longer than DVC itself would wait."""
    if not lock.exists():
        return None
    deadline = time.monotonic() + DVC_WAITS_S
    with lock.open("r+b") as file:  # to be written, too, or NFS would refuse the lock
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as zc.lockfile does; freed with the file
                return None
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return lock.read_text(encoding="ascii", errors="replace").strip() or "unknown"
            time.sleep(LOOK_EVERY_S)


def _rwlock_holder(rwlock: Path) -> str | None:
    """A living DVC process that reads or writes the project's files; without one its record goes."""
    if not rwlock.exists():
        return None
    try:
        record = json.loads(rwlock.read_text(encoding="utf-8"))
        written, read = record.get("write", {}).values(), record.get("read", {}).values()
        holders = [entry["pid"] for entry in [*written, *(entry for entries in read for entry in entries)] if entry]
    except (ValueError, AttributeError, KeyError, TypeError):
        holders = []  # cut short by a kill
    living = next((pid for pid in holders if _is_living_dvc(pid)), None)
    if living is None:
        rwlock.unlink()
        return None
    return str(living)


def _is_living_dvc(pid: int) -> bool:
    """Whether the process is still DVC, and not another one that has received its number since."""
    try:
        return is_dvc(psutil.Process(pid), unreadable=True)
    except psutil.NoSuchProcess:
        return False


def _user() -> str:
    return f"user {os.getuid()}"


def _mode(path: Path) -> str:
    status = path.stat()
    return f"{stat.filemode(status.st_mode)} of user {status.st_uid}"
