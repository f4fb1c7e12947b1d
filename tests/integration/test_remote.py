"""A colleague's `git clone` and `dvc pull` get data, model and report, and nothing is left to be done."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.project import Project, finish

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
# what a colleague wants: the images, the splits, the released and the exported model
WANTED = ("data/raw", "data/prepared", "models")


def digests(root: Path) -> dict[str, str]:
    files = [path for name in WANTED for path in sorted((root / name).rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def told(project: Project, *words: str) -> str:
    command = project.start(*words)
    printed = finish(command)
    assert command.returncode == 0, printed[-4000:]
    return printed


def test_pull_brings_what_push_sent(elsewhere: Project, tmp_path: Path) -> None:
    store = tmp_path / "store"
    told(elsewhere, "dvc", "remote", "add", "--default", "store", str(store))
    told(elsewhere, *GIT, "add", "--all")
    told(elsewhere, *GIT, "commit", "--quiet", "--message", "trained")
    told(elsewhere, "dvc", "push")
    subprocess.run(["git", "clone", "--quiet", elsewhere.root, tmp_path / "clone"], check=True)
    clone = Project(tmp_path / "clone")
    assert not (clone.root / "models/released").exists()
    told(clone, "dvc", "pull")
    assert digests(clone.root) == digests(elsewhere.root)
    assert len(digests(clone.root)) > 60
    ran = re.findall(r"Running stage '(\w+)'", clone.repro())
    assert ran == ["fingerprint"], "it looks at the sources each time; what it finds is the same"
