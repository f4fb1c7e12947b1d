"""What a person sees while images are gone through: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

EVERY_S = 10.0  # between lines where there is no terminal
DRAWN_EVERY_S = 0.1  # on a terminal


class Counting:
    """Counts images; use as a context. total: images to come, None: not known."""

    def __init__(self, total: int | None, shown: bool = True) -> None:
        self.console = Console(stderr=True)
        self._live = shown and self.console.is_terminal
        self._lines = shown and not self._live
        self._bar = Progress(
            TextColumn("{task.completed:,}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self.console,
            disable=not self._live,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=total, rate="")
        self._total = total
        self.done = self._no_work = 0
        self._began = self._worked = self._told = self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        self._began = self._worked = self._told = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.update(self._task, completed=self.done)
        self._bar.stop()

    def skip(self, images: int) -> None:
        """So many more that need no work: neither they nor the time up to now count in the rate."""
        self._no_work += images
        self.done += images
        self._worked = self._told = time.monotonic()

    def step(self) -> None:
        """One image more."""
        self.done += 1
        now = time.monotonic()
        if self._live and now - self._drawn >= DRAWN_EVERY_S:
            self._drawn = now
            self._bar.update(self._task, completed=self.done, rate=f"{self.rate():.1f} images/s")
        if self._lines and now - self._told >= EVERY_S:
            self._told = now
            of = f" of {self._total:,}" if self._total else ""
            self.say(f"{self.done:,}{of} images, {self.rate():.1f} images/s{self._left()}")

    def rate(self) -> float:
        """Images a second up to now."""
        return (self.done - self._no_work) / max(time.monotonic() - self._worked, 1e-9)

    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, line: str) -> None:
        """A line above the bar, on standard error."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        if not self._total or self._total < self.done:
            return ""
        seconds = (self._total - self.done) / self.rate()
        return f", {seconds / 60:.0f} min left" if seconds >= 120 else f", {seconds:.0f} s left"
