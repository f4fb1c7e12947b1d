"""The kind of processor that this process computes on."""

import platform
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
SHOWN = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"}  # what decides how fast a network runs
# Matrix products of bfloat16. AVX-512 BF16 alone gains little for small networks on several threads: what else the
# machine does would decide whether it is faster there, and with it a run's bits.
BFLOAT16 = "amx_bf16"


@cache
def processor() -> str:
    """The processor's name with the instructions that decide how fast a network runs: `AMD EPYC avx2 avx512f`."""
    name = _fields().get("model name") or platform.processor() or platform.machine()
    return " ".join([name, *sorted(_flags() & SHOWN)])


@cache
def computes_bfloat16() -> bool:
    """Whether it has AMX's instructions for bfloat16."""
    return BFLOAT16 in _flags()


def _flags() -> set[str]:
    return set(_fields().get("flags", "").split())


def _fields() -> dict[str, str]:
    """What the system says of the first processor; empty where it is not Linux."""
    if not CPU_INFO.is_file():
        return {}
    first = CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    pairs = (line.split(":", 1) for line in first if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
