"""A colleague's `git clone` and `dvc pull` get data, model and report, and nothing is left to be done.

By a folder, by S3 (moto's server) and by ssh (OpenSSH's), each over its own protocol; all share one training.
"""

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.project import Project, finish
from tests.servers import s3_server, ssh_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
# what a colleague wants: the images, the splits, the released and the exported model
WANTED = ("data/raw", "data/prepared", "models")


@dataclass(frozen=True)
class Remote:
    """Where a store lies, and what is told to DVC of it."""

    address: str
    shared: dict[str, str] = field(default_factory=dict)  # options that git holds
    private: dict[str, str] = field(default_factory=dict)  # options that each keeps for himself
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def folder(here: Path) -> Iterator[Remote]:
    yield Remote(str(here / "store"))


@contextmanager
def s3(here: Path) -> Iterator[Remote]:
    with s3_server(here) as server:
        server.client().create_bucket(Bucket="bucket")
        keys = {name: value for name, value in server.environment.items() if name != "AWS_ENDPOINT_URL"}
        yield Remote("s3://bucket/store", shared={"endpointurl": server.url}, environment=keys)


@contextmanager
def ssh(here: Path) -> Iterator[Remote]:
    """With an empty home folder: no known hosts, and no key but the one that is named."""
    (here / "home").mkdir()
    with ssh_server(here) as server:
        home = {"HOME": str(here / "home")}
        yield Remote(f"{server.address}{here}/store", private={"keyfile": str(server.key)}, environment=home)


def digests(root: Path) -> dict[str, str]:
    files = [path for name in WANTED for path in sorted((root / name).rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def told(project: Project, *words: str, **environment: str) -> str:
    command = project.start(*words, **environment)
    printed = finish(command)
    assert command.returncode == 0, printed[-4000:]
    return printed


def keep(project: Project, remote: Remote) -> None:
    for name, value in remote.private.items():
        told(project, "dvc", "remote", "modify", "--local", "store", name, value)


@pytest.mark.parametrize("store", [folder, s3, ssh], ids=lambda store: store.__name__)
def test_pull_brings_what_push_sent(
    store: Callable[[Path], AbstractContextManager[Remote]], elsewhere: Project, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with store(tmp_path / "there") as remote:
        told(elsewhere, "dvc", "remote", "add", "--default", "store", remote.address)
        for name, value in remote.shared.items():
            told(elsewhere, "dvc", "remote", "modify", "store", name, value)
        keep(elsewhere, remote)
        told(elsewhere, *GIT, "add", "--all")
        told(elsewhere, *GIT, "commit", "--quiet", "--message", "trained")
        told(elsewhere, "dvc", "push", **remote.environment)
        subprocess.run(["git", "clone", "--quiet", elsewhere.root, tmp_path / "clone"], check=True)
        clone = Project(tmp_path / "clone")
        assert not (clone.root / "models/released").exists()
        assert not (clone.root / ".dvc/config.local").exists(), "what is private stays at home"
        keep(clone, remote)
        told(clone, "dvc", "pull", **remote.environment)
        assert digests(clone.root) == digests(elsewhere.root)
        assert len(digests(clone.root)) > 60
    ran = re.findall(r"Running stage '(\w+)'", clone.repro())
    assert ran == ["fingerprint"], "it looks at the sources each time; what it finds is the same"
