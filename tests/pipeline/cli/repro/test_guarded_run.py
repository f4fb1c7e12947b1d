"""Whatever ends a run, or the make above it, ends what it has started: real signals and processes."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline.cli.repro.guarded_run import SIGNALS
from tests.integration.project import RUN_MARK, marked
from tests.waiting import until

RUN = """
import os, sys
from pipeline.cli.repro.guarded_run import Parent, run_guarded
parent = Parent() if sys.argv[1] == "make" else None
lock = os.open("lock", os.O_CREAT | os.O_RDWR)
sys.exit(run_guarded(["sh", "-c", sys.argv[2]], dict(os.environ), lock, parent))
"""
# a daemon that detaches itself, one that loses its parent, a child that waits
STARTED = "setsid sleep 300 & (sleep 301 &); sleep 302 & wait"
SLEEPERS = 3
WITHIN_S = 60.0


def _as_in_a_terminal() -> None:
    """Signals do what they usually do, also where these tests run in a shell's background, or under nohup."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Family:
    """What a command started, by a mark in its environment."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.mark = secrets.token_hex(8)
        environment = {**os.environ, RUN_MARK: self.mark, "PYTHON": sys.executable}
        self.head = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_as_in_a_terminal
        )
        until(lambda: len(self.named("sleep")) == SLEEPERS, WITHIN_S)

    def living(self) -> list[psutil.Process]:
        return marked(self.mark)

    def named(self, word: str) -> list[psutil.Process]:
        found = []
        for process in self.living():
            with suppress(psutil.Error):
                if word in process.cmdline()[:4]:
                    found.append(process)
        return found


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    families: list[Family] = []
    (tmp_path / "run.py").write_text(RUN)
    (tmp_path / "Makefile").write_text(f"all:\n\t@exec $(PYTHON) run.py make '{STARTED}'\n")

    def begin(*command: str) -> Family:
        families.append(Family(tmp_path, *command))
        return families[-1]

    yield begin
    for family in families:
        for process in family.living():
            process.kill()


ALL = (*SIGNALS, signal.SIGKILL)


@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
def test_a_signal_to_the_command_ends_all(begun: Callable[..., Family], number: signal.Signals) -> None:
    family = begun(sys.executable, "run.py", "alone", STARTED)
    family.head.send_signal(number)
    until(lambda: not family.living(), WITHIN_S)
    assert family.head.wait() == (-number if number == signal.SIGKILL else 128 + number)


@pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)
def test_a_signal_to_make_alone_ends_all(begun: Callable[..., Family], number: signal.Signals) -> None:
    family = begun("make")
    family.head.send_signal(number)
    until(lambda: not family.living(), WITHIN_S)


def test_a_terminal_that_is_gone_is_no_error(begun: Callable[..., Family]) -> None:
    """SIGHUP comes when it is closed: then nobody reads what is printed."""
    family = begun(sys.executable, "run.py", "alone", STARTED)
    assert family.head.stderr is not None
    family.head.stderr.close()
    family.head.send_signal(signal.SIGHUP)
    until(lambda: not family.living(), WITHIN_S)
    assert family.head.wait() == 128 + signal.SIGHUP


def test_a_kill_of_the_keeper_ends_all(begun: Callable[..., Family]) -> None:
    family = begun(sys.executable, "run.py", "alone", STARTED)
    (keeper,) = family.named("pipeline.cli.repro.keeper")
    keeper.kill()
    until(lambda: not family.living(), WITHIN_S)
    assert family.head.wait() == 128 + signal.SIGKILL


def test_what_a_failed_command_left_ends_and_what_a_good_one_left_stays(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RUN)
    for code, stays in ((3, False), (0, True)):
        command = f"sleep 300 >/dev/null 2>&1 & echo $!; exit {code}"
        done = subprocess.run(
            [sys.executable, "run.py", "alone", command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        sleeper = int(done.stdout)
        assert psutil.pid_exists(sleeper) == stays
        if stays:
            os.kill(sleeper, signal.SIGKILL)
