"""What a person sees while work goes on: a live bar on a terminal, lines elsewhere, all on standard error.

Rich is imported where a bar is made: most commands make none.
"""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from yolox_core.errors import on_one_line

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

EVERY_S = 10.0  # between lines where there is no terminal
DRAWN_EVERY_S = 0.1  # on a terminal
MIB = 2**20


class ProgressBar:
    """A bar with these columns; use as a context."""

    def __init__(self, *columns: "ProgressColumn", task: str = "", live: bool = True, **fields: Any) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.console = Console(stderr=True)
        self._live = live and self.console.is_terminal
        self._bar = Progress(*columns, console=self.console, disable=not self._live, redirect_stdout=False)
        self._task = self._bar.add_task(task, **fields)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, line: str) -> None:
        """A line above the bar, one whatever names stand in it."""
        self.console.print(on_one_line(line), markup=False, highlight=False, soft_wrap=True)


class ImageCount(ProgressBar):
    """Counts images. total: images to come, None: not known."""

    def __init__(self, total: int | None, shown: bool = True) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        super().__init__(
            TextColumn("{task.completed:,}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            live=shown,
            total=total,
            rate="",
        )
        self._lines = shown and not self._live
        self._total = total
        self.done = self._no_work = 0
        self._worked = self._line_s = self._drawn_s = self._began

    def __enter__(self) -> Self:
        super().__enter__()
        self._worked = self._line_s = self._began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.update(self._task, completed=self.done)
        super().__exit__(kind, error, trace)

    def skip(self, images: int) -> None:
        """So many more that need no work: neither they nor the time up to now count in the rate."""
        self._no_work += images
        self.done += images
        self._worked = self._line_s = time.monotonic()

    def step(self) -> None:
        """One image more."""
        self.done += 1
        now = time.monotonic()
        if self._live and now - self._drawn_s >= DRAWN_EVERY_S:
            self._drawn_s = now
            self._bar.update(self._task, completed=self.done, rate=f"{self.rate():.1f} images/s")
        if self._lines and now - self._line_s >= EVERY_S:
            self._line_s = now
            of = f" of {self._total:,}" if self._total else ""
            self.say(f"{self.done:,}{of} images, {self.rate():.1f} images/s{self._left()}")

    def rate(self) -> float:
        """Images a second up to now."""
        return (self.done - self._no_work) / max(time.monotonic() - self._worked, 1e-9)

    def _left(self) -> str:
        if not self._total or self._total < self.done:
            return ""
        seconds = (self._total - self.done) / self.rate()
        return f", {seconds / 60:.0f} min left" if seconds >= 120 else f", {seconds:.0f} s left"


class Transfer(ProgressBar):
    """Counts bytes that come from elsewhere; where there is no terminal, one line at the end."""

    def __init__(self, name: str, done: int = 0, total: int | None = None) -> None:
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            task=on_one_line(name),
            total=total,
            completed=done,
        )
        self._name, self._done = name, done

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            fetched = self._bar.tasks[0].completed - self._done
            self.say(f"fetched {fetched / MIB:.1f} MiB of {self._name} in {self.seconds():.1f} s")

    def advance(self, size: int) -> None:
        """`size` bytes more."""
        self._bar.advance(self._task, size)
