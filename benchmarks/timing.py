"""Fair times on a machine that others use too: both ways in turn, many rounds, medians."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Pair:
    """Seconds of the two ways, a pair of neighbours in time for each round."""

    ours_s: list[float]
    theirs_s: list[float]

    @property
    def speedup(self) -> float:
        """The median over the rounds of theirs / ours."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.ours_s, self.theirs_s, strict=True))

    def row(self) -> dict[str, float]:
        """Medians and the spread of the ratio, for the JSON."""
        ratios = sorted(theirs / ours for ours, theirs in zip(self.ours_s, self.theirs_s, strict=True))
        return {
            "ours_s": statistics.median(self.ours_s),
            "reference_s": statistics.median(self.theirs_s),
            "ratio_lowest": ratios[0],
            "ratio_highest": ratios[-1],
        }


def alternate(ours: Callable[[], object], theirs: Callable[[], object], rounds: int, device: str = "cpu") -> Pair:
    """Time both in turn, after one call of each that does not count."""
    ours(), theirs()
    pair = Pair([], [])
    for _ in range(rounds):
        pair.ours_s.append(seconds(ours, device))
        pair.theirs_s.append(seconds(theirs, device))
    return pair


def seconds(call: Callable[[], object], device: str = "cpu") -> float:
    """How long a call takes, the device's work included; garbage is collected before, not during."""
    gc.collect()
    gc.disable()
    try:
        _wait(device)
        began = time.perf_counter()
        call()
        _wait(device)
        return time.perf_counter() - began
    finally:
        gc.enable()


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def hardware(device: str) -> dict[str, Any]:
    """Where and with what it was measured."""
    import torch

    place = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    return place | {"device": torch.cuda.get_device_name()} if device == "cuda" else place


def machine() -> dict[str, Any]:
    """The same of what runs without PyTorch."""
    return {
        "date": date.today().isoformat(),
        "device": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()
