"""Which state of the project made a result: git commit, uncommitted changes, the digest of dvc.lock.

None where something is absent: a folder without git is no error.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.digests import file_sha256

WRITTEN = "project_state.json"  # in a folder on a cluster, which is no repository


@dataclass(frozen=True)
class ProjectState:
    """What to check out to repeat a result."""

    commit: str | None  # None: no git, or nothing committed yet
    dirty: bool | None  # whether tracked files differ from the commit; None: no commit
    dvc_lock_sha256: str | None  # None: the pipeline has not been run through DVC

    def tags(self) -> dict[str, str]:
        """The parts that are known, named as in MLflow and in the report."""
        known = {"git.commit": self.commit, "git.dirty": self.dirty, "dvc.lock_sha256": self.dvc_lock_sha256}
        return {name: str(value).lower() for name, value in known.items() if value is not None}


def project_state(root: Path = Path()) -> ProjectState:
    """The state of the project in `root`, or the one recorded there, where `root` is a copy on a cluster."""
    if (root / WRITTEN).is_file():
        return ProjectState(**json.loads((root / WRITTEN).read_text(encoding="utf-8")))
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    # dvc.lock is written by the very run that asks; it has a digest of its own
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
    lock = root / "dvc.lock"
    return ProjectState(
        commit=commit or None,
        dirty=bool(changes) if commit and changes is not None else None,
        dvc_lock_sha256=file_sha256(lock) if lock.is_file() else None,
    )


def has_commit(commit: str, root: Path = Path()) -> bool:
    """Whether the repository around `root` has this commit."""
    return _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None  # git is not installed
    return done.stdout.strip() if done.returncode == 0 else None
