"""What this process computes on: its cores, and the kind of processor."""

import os
import platform
from functools import cache
from pathlib import Path

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of "quota period", or "max period"
CPU_INFO = Path("/proc/cpuinfo")


def cores() -> int:
    """CPU cores that this process may use, a container's limit included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS
    quota, _, period = CPU_LIMIT.read_text().partition(" ") if CPU_LIMIT.is_file() else ("max", "", "")
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


@cache
def processor() -> str:
    """The processor's name with the instructions that decide how fast a network runs: `AMD EPYC avx2 avx512f`."""
    fields = dict(line.split(":", 1) for line in _first_processor() if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(named.get("flags", "").split()) & {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"}
    return " ".join([named.get("model name") or platform.processor() or platform.machine(), *sorted(flags)])


def _first_processor() -> list[str]:
    if not CPU_INFO.is_file():  # not Linux
        return []
    return CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
