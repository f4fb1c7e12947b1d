"""CPU cores by cgroup files as kernels and containers lay them out, and by a real group where that is allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from yolox_core.cpus import cores, quota_cores

V2 = "0::{group}\n"
V2_MOUNT = "41 31 0:38 {mounted} /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
V1 = "8:pids:/\n4:cpu,cpuacct:{group}\n1:name=systemd:/init.scope\n"
V1_MOUNT = (
    "30 25 0:26 {mounted} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "31 25 0:27 /other /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with sixteen cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def machine(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    """A root folder with what a kernel says of groups, and their files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text("23 1 8:1 / / rw - ext4 /dev/vda1 rw\n" + mounts)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(group: str, mounted: str = "/") -> tuple[str, str]:
    return V2.format(group=group), V2_MOUNT.format(mounted=mounted)


def v1(group: str, mounted: str = "/") -> tuple[str, str]:
    return V1.format(group=group), V1_MOUNT.format(mounted=mounted)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param(v2("/"), {"cpu.max": "400000 100000\n"}, 4, id="the container's own view"),
        pytest.param(v2("/"), {"cpu.max": "max 100000\n"}, 16, id="no quota"),
        pytest.param(v2("/"), {"cpu.max": "50000 100000\n"}, 1, id="half a core"),
        pytest.param(v2("/"), {"cpu.max": "350000 100000\n"}, 3, id="a fraction is no core"),
        pytest.param(v2("/"), {"cpu.max": "9900000 100000\n"}, 16, id="more than there is"),
        pytest.param(v2("/"), {}, 16, id="the root group has no such file"),
        pytest.param(v2("/pod/box"), {"pod/box/cpu.max": "300000 100000\n"}, 3, id="the host's view"),
        pytest.param(
            v2("/pod/box"),
            {"pod/cpu.max": "200000 100000\n", "pod/box/cpu.max": "max 100000\n"},
            2,
            id="the group around",
        ),
        pytest.param(
            v2("/pod/box"),
            {"pod/cpu.max": "800000 100000\n", "pod/box/cpu.max": "500000 100000\n"},
            5,
            id="the smallest",
        ),
        pytest.param(
            v2("/docker/f00", "/docker/f00"), {"cpu.max": "300000 100000\n"}, 3, id="mounted without the path"
        ),
        pytest.param(v2("/../other", "/"), {"cpu.max": "300000 100000\n"}, 3, id="a group outside of what is mounted"),
        pytest.param(
            v1("/docker/f00"),
            {
                "cpu,cpuacct/docker/f00/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/docker/f00/cpu.cfs_period_us": "100000\n",
            },
            2,
            id="version 1",
        ),
        pytest.param(
            v1("/pod/box", "/pod/box"),
            {"cpu,cpuacct/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"},
            3,
            id="version 1 in a container",
        ),
        pytest.param(
            v1("/pod/box"),
            {
                "cpu,cpuacct/pod/cpu.cfs_quota_us": "400000\n",
                "cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/pod/box/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/pod/box/cpu.cfs_period_us": "100000\n",
            },
            4,
            id="version 1, the group around",
        ),
        pytest.param(
            (
                V1.format(group="/a") + V2.format(group="/b"),
                V1_MOUNT.format(mounted="/") + V2_MOUNT.format(mounted="/"),
            ),
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "700000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "b/cpu.max": "600000 100000\n",
            },
            6,
            id="both versions at once",
        ),
        pytest.param(v2("/"), {"cpu.max": "many 0\n"}, 16, id="what no kernel writes"),
    ],
)
def test_the_tightest_quota_counts(
    groups: tuple[str, str], files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    root = machine(tmp_path, *groups, files)
    assert cores(root) == expected
    assert quota_cores(root) == (expected if expected < 16 else None)


def test_a_mount_with_a_blank_in_its_path(tmp_path: Path) -> None:
    cgroup, mounts = v2("/")
    root = machine(tmp_path, cgroup, mounts.replace("/sys/fs/cgroup", "/sys/fs/my\\040group"), {})
    (root / "sys/fs/my group").mkdir(parents=True)
    (root / "sys/fs/my group/cpu.max").write_text("200000 100000\n")
    assert cores(root) == 2


def test_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, *v2("/"), {"cpu.max": "400000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert cores(root) == 2 and quota_cores(root) is None


def test_a_machine_without_these_files(tmp_path: Path) -> None:
    assert cores(tmp_path) == 16 and quota_cores(tmp_path) is None


COUNT = "from yolox_core.cpus import cores; print(cores())"


def test_a_real_quota() -> None:
    """One core for a group, and a process in a group inside of that one."""
    needs.right("cgroups")
    folder = needs.cpu_cgroups()
    assert folder is not None
    outer = folder / f"yolox-test-{os.getpid()}"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    try:
        if (outer / "cpu.max").is_file():
            (outer / "cpu.max").write_text("100000 100000")
        else:
            (outer / "cpu.cfs_period_us").write_text("100000")
            (outer / "cpu.cfs_quota_us").write_text("100000")
        moved = f"echo $$ > '{inner}/cgroup.procs' && exec '{sys.executable}' -c '{COUNT}'"
        done = subprocess.run(["sh", "-c", moved], cwd=needs.ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"
    finally:
        inner.rmdir()
        outer.rmdir()
