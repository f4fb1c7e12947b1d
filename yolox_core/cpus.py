"""How many CPU cores this process may use: its affinity, and the quotas of the containers around it (Linux cgroups).

A quota limits time, not which cores: `nproc` and PyTorch count all of a node's cores in a pod of two. Quotas of both
versions are read, of the process's own group and of each group around it that is mounted: the smallest counts.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/")
OCTAL = re.compile(r"\\(\d{3})")  # how mountinfo writes blanks


def cores(root: Path = SYSTEM) -> int:
    """CPU cores that this process may use, quotas included; at least 1. `root` is where /proc and /sys lie."""
    return min(_affinity(), _quota(root))


def quota_cores(root: Path = SYSTEM) -> int | None:
    """`cores` where a quota allows fewer than the affinity does: libraries that read the affinity alone want it."""
    quota = _quota(root)
    return quota if quota < _affinity() else None


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS


def _quota(root: Path) -> int:
    """Whole cores of the tightest quota; a million where there is none."""
    return max(1, int(min((quota for group in _groups(root) for quota in _quotas(group)), default=1e6)))


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's cgroups that can hold a CPU quota, and of those around them."""
    own = _own_groups(root)
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, filesystem = line.partition(" - ")
        kind, _, options = [*filesystem.split(), "", "", ""][:3]
        hierarchy = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if hierarchy not in own or (hierarchy and hierarchy not in options.split(",")):
            continue
        mounted, at = (OCTAL.sub(lambda code: chr(int(code[1], 8)), field) for field in place.split()[3:5])
        top = root / at.lstrip("/")
        # what lies outside of what is mounted (a container's own view) is at the mount's top
        inside = own[hierarchy].removeprefix(mounted.rstrip("/")).strip("/") if _within(own[hierarchy], mounted) else ""
        group = top / inside
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(top))


def _own_groups(root: Path) -> dict[str, str]:
    """This process's group in version 2 ("") and in version 1's hierarchy of CPU time ("cpu")."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "cpu" in controllers.split(","):
            found["cpu"] = path
        elif not controllers:
            found[""] = path
    return found


def _within(path: str, folder: str) -> bool:
    return ".." not in path.split("/") and f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _quotas(group: Path) -> Iterator[float]:
    """Cores by the group's own quota, in the files of either version."""
    words = " ".join(_lines(group / "cpu.max")).split()  # microseconds of "quota period", or "max period"
    if not words:
        words = [*_lines(group / "cpu.cfs_quota_us"), *_lines(group / "cpu.cfs_period_us")]  # -1: no quota
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
        yield int(words[0]) / int(words[1])


def _lines(path: Path) -> list[str]:
    """A small file's lines; none where it is not there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
