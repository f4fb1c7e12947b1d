"""One run of a project at a time: the locks that `yolox repro` and every stage hold.

The operating system frees them with the last process that holds them, however it ends, so the files stay. They lie in
.dvc/tmp, which git and DVC ignore. A run's lock is inherited by what it starts (`run_lock` gives the descriptor to
hand on); a stage, whose descriptors DVC closes, holds the other one.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from yolox_core.errors import InputError

RUN, STAGES = "yolox-run.lock", "yolox-stages.lock"
ENDS_WITHIN_S = 15.0  # after a run was killed, its keeper ends what it had started
POLL_S = 0.2


@contextmanager
def project_run_lock() -> Iterator[int]:
    """Hold the project for one run; the descriptor to hand on. InputError says which process holds it, since when."""
    with _opened(RUN) as run, _opened(STAGES) as stages:
        deadline = time.monotonic() + ENDS_WITHIN_S
        while not all(map(_locked, (run, stages))):
            holder = _holder(stages if _locked(run) else run)
            if _is_alive(holder) or time.monotonic() > deadline:
                raise _busy(holder)
            time.sleep(POLL_S)
        fcntl.flock(stages, fcntl.LOCK_UN)
        _sign(run)
        yield run


@contextmanager
def stage_lock() -> Iterator[None]:
    """Hold the project for one stage, beside other stages: no run begins until it has ended."""
    with _opened(STAGES) as stages:
        _flock(stages, fcntl.LOCK_SH)  # waits at most for a run that is being refused or begins
        _sign(stages)
        yield


def dvc_root() -> Path:
    """The folder that holds .dvc: this one, or one above it. InputError where there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise InputError(
        f"{here}: expected a project, got a folder without .dvc. Run in a project, or make one: yolox init."
    )


@contextmanager
def _opened(name: str) -> Iterator[int]:
    folder = dvc_root() / ".dvc" / "tmp"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock if it is free; whether it is ours."""
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flock(descriptor: int, how: int) -> None:
    """The system's; InputError where the file system has no locks."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError as failed:
        raise InputError(
            f"{Path.cwd()}: expected a file system with locks, got: {failed.strerror}. Move the project to another."
        ) from failed


def _sign(descriptor: int) -> None:
    text = json.dumps({"pid": os.getpid(), "since": datetime.now().astimezone().isoformat(timespec="seconds")})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _holder(descriptor: int) -> dict[str, Any]:
    """What the holder wrote; empty in the instant before it has."""
    try:
        holder: dict[str, Any] = json.loads(os.pread(descriptor, 1000, 0))
    except ValueError:
        return {}
    return holder


def _is_alive(holder: dict[str, Any]) -> bool:
    try:
        os.kill(int(holder["pid"]), 0)
    except (KeyError, ProcessLookupError):
        return False
    except PermissionError:
        return True  # another user's
    return True


def _busy(holder: dict[str, Any]) -> InputError:
    pid, since = holder.get("pid", "unknown"), holder.get("since", "unknown")
    return InputError(
        f"{Path.cwd()}: expected a project in which nothing runs, got another run (process {pid}, since {since}). "
        f"Wait for its end, or end it: kill {pid}."
    )
