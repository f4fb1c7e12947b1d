"""Where a training's time goes, phase by phase, without a wait for the device: on CUDA its own events measure."""

import time
from collections import defaultdict

import torch

# data: nothing to do but to wait for the loader; communicate: sums over workers outside of backward
PHASES = ("data", "forward", "assign", "loss", "backward", "communicate", "optimizer")


class PhaseTimer:
    """One phase at a time; entering the next ends the one before.

    On CUDA a phase lasts from the moment the device reaches its first operation to that of the next phase's: "data" is
    then how long the device stood still.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seconds: dict[str, float] = defaultdict(float)
        self._marks: list[tuple[str | None, float | torch.cuda.Event]] = []

    def enter(self, phase: str | None) -> None:
        """From now on it is `phase`; None: nothing that counts."""
        if not self._cuda:
            self._marks.append((phase, time.perf_counter()))
            self._fold()
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._marks.append((phase, event))

    def fold(self) -> None:
        """Add up what was measured. Called where the device has been waited for: it holds memory for every event."""
        if self._cuda and self._marks:
            last = self._marks[-1][1]
            assert isinstance(last, torch.cuda.Event)
            last.synchronize()
        self._fold()

    def take(self) -> dict[str, float]:
        """End the phase; the seconds in each since this was last asked."""
        self.enter(None)
        self.fold()
        taken = {phase: self._seconds[phase] for phase in PHASES}
        self._seconds.clear()
        return taken

    def _fold(self) -> None:
        for (phase, start), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            if phase is not None:
                self._seconds[phase] += _between(start, end)
        del self._marks[:-1]


def _between(start: float | torch.cuda.Event, end: float | torch.cuda.Event) -> float:
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(start.elapsed_time(end)) / 1000
    assert isinstance(start, float) and isinstance(end, float)
    return end - start


def shares(seconds: dict[str, float]) -> dict[str, float]:
    """What each phase has of them all, 0 to 1."""
    total = sum(seconds.values()) or 1.0
    return {phase: value / total for phase, value in seconds.items()}
