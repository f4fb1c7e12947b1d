"""A command that ends with this process: signals, and even SIGKILL, end all that it has started.

Two processes watch each other. This one passes on its signals by closing the keeper's pipe; where this one is killed
the pipe closes by itself, and where the keeper is killed this one does its work.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pipeline.cli.repro.keeper import LOCK
from pipeline.cli.repro.processes import adopt_orphans, end_all

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
POLL_S = 0.25


class Parent:
    """The program that called, where it does not pass on its signals: make waits for its recipe instead."""

    def __init__(self) -> None:
        self.pid = os.getppid()
        self.caught = self._caught()

    def is_ending(self) -> bool:
        """Whether it has ended, or has received a signal that ends it: make then no longer catches that one."""
        return os.getppid() != self.pid or self._caught() != self.caught

    def _caught(self) -> int:
        """Which of SIGNALS it catches, as a mask; 0 where the system does not say (/proc is Linux's)."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0
        mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
        return mask & sum(1 << (number - 1) for number in SIGNALS)


def run_guarded(command: list[str], environment: Mapping[str, str], lock: int, parent: Parent | None = None) -> int:
    """Run it to its end; its exit code, or 128 and the number of the signal that ended it."""
    adopt_orphans()
    words = [sys.executable, "-P", "-m", "pipeline.cli.repro.keeper", *command]
    with received() as asked:
        keeper = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            env={**environment, LOCK: str(lock)},
            pass_fds=(lock,),
            start_new_session=True,
        )
        assert keeper.stdin is not None
        ending: int | None = None
        while True:
            try:
                code = keeper.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                pass
            if ending is None and (asked or (parent and parent.is_ending())):
                ending = asked[0] if asked else signal.SIGTERM
                keeper.stdin.close()
                with suppress(OSError):  # SIGHUP: the terminal is gone
                    print("repro: stopping. The next run resumes where this one was stopped.", file=sys.stderr)
        if code < 0:  # the keeper was killed
            end_all()
        return code if ending is None and code >= 0 else 128 + (ending or -code)


@contextmanager
def received() -> Iterator[list[int]]:
    """The signals that arrive during the block; one that is ignored already, as by nohup, stays so."""
    numbers: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield numbers
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
