"""The kind of processor that this process computes on."""

import platform
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


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
