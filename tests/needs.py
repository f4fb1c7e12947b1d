"""Every skip of the suite goes through this file and names what was missing.

With CI=true, a skip whose need is there after all fails the run (`tests/conftest.py`): a test that was switched off by
a typing error in a path must not look like a machine without the data.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"  # the reference's numbers, but for those that need weights
SHARED = ROOT.parent / "shared"
PREFIX = "needs "
POSTGRESQL = Path("/usr/lib/postgresql")
UV = ROOT / ".uv" / "bin" / "uv"
CGROUPS = Path("/sys/fs/cgroup")
SSHD = Path("/usr/sbin/sshd")
CHROMIUM = Path("/usr/bin/chromium")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def shared_folder(name: str) -> Path:
    """The folder `golden`, `weights` or `datasets`: $GOLDEN_DIR and so on, or ../shared/<name>; skips where absent."""
    given = os.environ.get(f"{name.upper()}_DIR")
    if given:
        if not Path(given).is_dir():
            pytest.fail(f"{name.upper()}_DIR={given}: expected a folder.", pytrace=False)
        return Path(given)
    if not (SHARED / name).is_dir():
        # the need is ../shared as a whole: where it is there but lacks this folder, something is wrong
        pytest.skip(f"{PREFIX}path {SHARED}: {name.upper()}_DIR is not set and ../shared/{name} is absent")
    return SHARED / name


def shared_file(folder: str, name: str) -> Path:
    """A file of one of the shared folders; skips where the folder is absent, fails where only the file is."""
    path = shared_folder(folder) / name
    if not path.is_file():
        pytest.fail(f"{path}: expected this file in the {folder} folder.", pytrace=False)
    return path


def coco_nano() -> Path:
    """The COCO weights of YOLOX-nano in the folder `weights`, whatever the file is called; skips without the folder."""
    from pipeline.registry.published_weights import COCO_FILES

    folder = shared_folder("weights")
    sizes = {file.size for file in COCO_FILES["nano"]}
    digests = {file.sha256 for file in COCO_FILES["nano"]}
    for path in sorted(folder.glob("*.pth")):
        if path.stat().st_size in sizes and hashlib.sha256(path.read_bytes()).hexdigest() in digests:
            return path
    pytest.fail(f"{folder}: expected the COCO weights of YOLOX-nano in the weights folder.", pytrace=False)


def module(name: str) -> None:
    """Skip where an optional package is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{PREFIX}module {name}: not installed", allow_module_level=True)


def postgresql() -> Path:
    """The folder of PostgreSQL's programs, as Debian installs them; skips where there is none."""
    found = sorted(POSTGRESQL.glob("*/bin/initdb"))
    if not found:
        pytest.skip(f"{PREFIX}path {POSTGRESQL}: PostgreSQL is not installed")
    return found[-1].parent


def uv() -> Path:
    """uv from the PATH or, as `make setup` installs it, of the project; skips where there is none."""
    found = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(UV.parent)]))
    if found is None:
        pytest.skip(f"{PREFIX}path {UV}: uv is not installed")
    return Path(found)


def cached_packages() -> None:
    """Skip where an environment is to be made and uv's cache lacks a package of the lock."""
    pytest.skip(f"{PREFIX}cache : uv's cache lacks packages of requirements-dev.txt")


def sshd() -> Path:
    """OpenSSH's server, where Debian and macOS put it; skips where there is none."""
    if not SSHD.exists():
        pytest.skip(f"{PREFIX}path {SSHD}: OpenSSH's server is not installed")
    return SSHD


def chromium() -> Path:
    """A browser that Playwright can drive, from the PATH; skips where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"{PREFIX}path {CHROMIUM}: none of {', '.join(BROWSERS)} is in the PATH")
    return Path(found)


def right(name: str) -> None:
    """Skip where this user may not do what a test must: see RIGHTS."""
    if not RIGHTS[name]():
        pytest.skip(f"{PREFIX}right {name}: this user may not")


def cpu_cgroups() -> Path | None:
    """The folder of the cgroups that limit CPU time, where this user may make one; None elsewhere."""
    for folder, file in ((CGROUPS / "cpu", "cpu.cfs_quota_us"), (CGROUPS, "cpu.max")):
        probe = folder / f"yolox-probe-{os.getpid()}"
        try:
            probe.mkdir()
        except OSError:
            continue
        made = (probe / file).is_file()
        probe.rmdir()
        if made:
            return folder
    return None


def _may_unshare(*options: str, then: str = "true") -> bool:
    """Whether this user may make such namespaces (util-linux), and do this with them."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", *options, "sh", "-ec", then]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


RIGHTS = {
    "cgroups": lambda: cpu_cgroups() is not None,
    "mounts": lambda: _may_unshare("--mount"),  # a private view of the file systems
    "user-ids": lambda: _may_unshare("--user", "--map-user=12345", "--map-group=12345"),  # another user id
    "host-names": lambda: _may_unshare("--uts"),
    "hosts": lambda: _may_unshare(
        *("--mount", "--uts", "--ipc", "--net", "--pid", "--fork"),
        then="ip link add lan type bridge; mount -t tmpfs tmpfs /mnt",  # what tests/hosts.py is built on
    ),
}


def mounting(script: str) -> list[str]:
    """The beginning of a command for which a shell script mounts something, seen by it alone; skips without the right.

    The script may use what follows as "$@", and is to end by running it.
    """
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    reason = f"{PREFIX}mount : no right to mount file systems"
    if shutil.which(words[0]) is None or not _may_mount():
        pytest.skip(reason)
    return words


def _may_mount() -> bool:
    words = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which(words[0]) is not None and subprocess.run(words, capture_output=True).returncode == 0


def cuda_reason() -> str:
    """The skip reason of tests marked `gpu`."""
    return f"{PREFIX}cuda : no CUDA device"


def is_present(reason: str) -> bool:
    """Whether what a skip reason names is there; True for a reason that names nothing (a skip past this file)."""
    if PREFIX not in reason:
        return True
    kind, _, rest = reason.split(PREFIX, 1)[1].partition(" ")
    name = rest.split(":", 1)[0].strip()
    if kind == "path":
        return Path(name).exists()
    if kind == "module":
        return importlib.util.find_spec(name) is not None
    if kind == "right":
        return RIGHTS[name]()
    if kind == "mount":
        return _may_mount()
    if kind == "cache":
        return False  # only uv knows what it holds, and it was asked
    import torch

    return torch.cuda.is_available()
