"""All that a command has started, however deep, and its end.

Processes that detach themselves, as Ray's do, become children of the nearest subreaper above them when their parent
ends (Linux, prctl(2)); so nothing gets lost. Elsewhere only what is not detached is found.
"""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import PurePath

import psutil

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 6.0  # to save a checkpoint and end
LOOSE_GRACE_S = 1.0  # for what is left when DVC and its stage have ended
KILL_WITHIN_S = 3.0
POLL_S = 0.1
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "ash"}  # DVC runs a stage through the user's


def adopt_orphans() -> None:
    """Let processes below this one whose parent ends become its children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(known: int | None = None) -> int | None:
    """Collect the children that have ended; the exit code of the known one, if it is among them."""
    code = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == known:
                code = os.waitstatus_to_exitcode(ended[1])
    return code


def end_all() -> None:
    """End every process below this one, within GRACE_S + KILL_WITHIN_S.

    The stages are asked first (SIGTERM: a training saves); DVC then notes their failure and ends by itself. It is not
    asked: it may be writing dvc.lock.
    """
    started, asked = time.monotonic(), set[psutil.Process]()
    loose_since: float | None = None
    while (family := _family()) and time.monotonic() - started < GRACE_S:
        running = [process for process in family if is_dvc(process)]
        for stage in {stage for dvc in running for stage in _stages(dvc)} - asked:
            asked.add(stage)
            _send(stage, signal.SIGTERM)
        if not running and not any(stage.is_running() for stage in asked):
            loose_since = loose_since or time.monotonic()
            if time.monotonic() - loose_since > LOOSE_GRACE_S:
                break
        time.sleep(POLL_S)
        reap()
    deadline = time.monotonic() + KILL_WITHIN_S
    while (family := _family()) and time.monotonic() < deadline:
        for process in family:
            _send(process, signal.SIGKILL)
        time.sleep(POLL_S)
        reap()


def is_dvc(process: psutil.Process, unreadable: bool = False) -> bool:
    """Whether it is the command `dvc`, or `python -m dvc`; `unreadable` where this user may not read its words."""
    try:
        return any(PurePath(word).name == "dvc" for word in process.cmdline()[:5])
    except psutil.AccessDenied:
        return unreadable
    except psutil.Error:  # it has ended
        return False


def _family() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _stages(dvc: psutil.Process) -> list[psutil.Process]:
    """The commands that DVC runs; where it runs one through a shell that waits for it, that command."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        waiting = dvc.children()
        while waiting:
            process = waiting.pop()
            below = process.children() if process.name() in SHELLS else []
            waiting += below
            found += [] if below else [process]
    return found


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)
