"""What a person sees while images are looked at: a bar on a terminal, a line now and then elsewhere, and the rate."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

EVERY_S = 10.0  # between lines where there is no terminal


class PredictProgress:
    """Counts images, objects and what was passed over; use as a context. total: images to come, None: not known."""

    def __init__(self, total: int | None, shown: bool) -> None:
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
        self.images = self.objects = self.skipped = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> "PredictProgress":
        self._bar.start()
        self._began = self._told = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def seen(self, objects: int) -> None:
        """One image more."""
        self.images, self.objects = self.images + 1, self.objects + objects
        self._bar.update(self._task, completed=self.images + self.skipped, rate=f"{self._rate():.1f} images/s")
        if self._lines and time.monotonic() - self._told >= EVERY_S:
            self._told = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            self._say(f"{self.images + self.skipped:,}{of} images, {self._rate():.1f} images/s")

    def refused(self, reason: Exception) -> None:
        """One image, or the rest of a clip, that cannot be read."""
        self.skipped += 1
        self._say(f"error: {reason}")

    def summary(self, ended: str) -> None:
        """The last line."""
        seconds = time.monotonic() - self._began
        skipped = f", {self.skipped:,} unreadable" if self.skipped else ""
        self._say(
            f"{self.images:,} images in {seconds:.1f} s ({self._rate():.1f} images/s): {self.objects:,} objects"
            f"{skipped}{ended}"
        )

    def _rate(self) -> float:
        return self.images / max(time.monotonic() - self._began, 1e-9)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
