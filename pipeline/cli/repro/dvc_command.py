"""`dvc repro` as a command and its environment: with git or without, whatever the user's shell and PATH."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.config.project_lock import dvc_root

COMMAND = [sys.executable, "-P", "-m", "dvc", "--wait-for-lock", "repro"]
SHELL = "/bin/sh"
NO_SHELLS = {"nologin", "false", "true"}
SITE_CACHE, SYSTEM_CONFIG = "DVC_SITE_CACHE_DIR", "DVC_SYSTEM_CONFIG_DIR"
DEFAULT_SITE_CACHE = Path("/var/tmp/dvc")  # dvc/dirs.py
WITHOUT_GIT = "[core]\n    no_scm = true\n"  # given as DVC's settings of the machine: nothing in the project changes


@contextmanager
def dvc_environment() -> Iterator[dict[str, str]]:
    """The environment for COMMAND, for the block."""
    programs = str(Path(sys.executable).parent)  # dvc.yaml says `yolox`, which lies beside Python
    environment = {**os.environ, "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])}
    shell = os.environ.get("SHELL", SHELL)
    if not os.access(shell, os.X_OK) or Path(shell).name in NO_SHELLS:
        environment["SHELL"] = SHELL  # in which DVC runs the stages
    if not _may_be_made(Path(os.environ.get(SITE_CACHE, DEFAULT_SITE_CACHE))):
        environment[SITE_CACHE] = str(dvc_root() / ".dvc" / "tmp" / "site-cache")
    if _has_git():
        yield environment
        return
    with TemporaryDirectory(prefix="yolox-dvc-") as folder:
        (Path(folder) / "config").write_text(WITHOUT_GIT, encoding="utf-8")
        yield {**environment, SYSTEM_CONFIG: folder}


def _has_git() -> bool:
    """Whether DVC finds a repository; an empty .git, which containers mount over one, is none."""
    root = dvc_root()
    places = [folder / ".git" for folder in (root, *root.parents)]
    return any(place.is_file() or (place / "HEAD").exists() for place in places)


def _may_be_made(folder: Path) -> bool:
    """Tried, since rights are not all that counts: nobody makes a folder in /proc."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with TemporaryDirectory(dir=existing, prefix=".yolox-"):
            return True
    except OSError:
        return False
