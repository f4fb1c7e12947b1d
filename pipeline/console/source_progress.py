"""What a person sees while files come from elsewhere: a bar on a terminal, one line at the end elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

MIB = 2**20


class Shown:
    """One bar of bytes; use as a context."""

    def __init__(self, name: str, done: int = 0, total: int | None = None) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._name, self._done, self._start_s = name, done, time.monotonic()
        self._task = self._bar.add_task(name, total=total, completed=done)

    def __enter__(self) -> "Shown":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            took_s = time.monotonic() - self._start_s
            fetched = self._bar.tasks[0].completed - self._done
            print(f"fetched {fetched / MIB:.1f} MiB of {self._name} in {took_s:.1f} s", file=sys.stderr)

    def advance(self, size: int) -> None:
        """`size` bytes more."""
        self._bar.advance(self._task, size)
