"""Runs one command, and ends all that it has started when whoever began it asks for that, or is gone.

    python -m pipeline.cli.repro.keeper COMMAND ... < PIPE

The pipe is the life line: its end, by a close or a kill, means the end. A process and a session of its own, so that
what ends the caller, its group or its terminal does not end the keeper before it has done its work.
"""

import os
import select
import signal
import subprocess
import sys
from types import FrameType

from pipeline.cli.repro.processes import adopt_orphans, end_all, reap

ENDED = 125  # exit code where it was asked to end
POLL_S = 0.2
LOCK = "YOLOX_RUN_LOCK"  # the descriptor of the project's lock, which the command holds, too


def keep(command: list[str]) -> int:
    """Run it; its exit code, or ENDED."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, ask)  # a handler, unlike SIG_IGN, is not inherited
    adopt_orphans()
    lock = int(os.environ.pop(LOCK))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(lock,))
    while (code := reap(child.pid)) is None:
        if asked or select.select([sys.stdin], [], [], POLL_S)[0]:
            code = ENDED
            break
    child.returncode = code  # collected above
    if code:
        end_all()  # of a DVC that was killed, too
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
