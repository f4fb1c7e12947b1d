"""Images as objects of a DVC remote: found by md5, sent where they are lacking, refused where they cannot be read."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.registry.dvc_remote import remote_images
from tests.servers import S3, s3_server
from yolox_core.errors import InputError

NAMES = ("a.jpg", "deep/b.jpg", "c.jpg")
GRAPH = "stages: {ingest: {cmd: echo, outs: [data/raw]}}\n"


def dvc(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository whose stage `ingest` has some images; copy it."""
    root = tmp_path_factory.mktemp("made")
    for name in NAMES:
        path = root / "data/raw/images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"what {name} shows".encode())
    (root / "dvc.yaml").write_text(GRAPH)
    with pytest.MonkeyPatch.context() as there:
        there.chdir(root)
        dvc("init", "--no-scm", "-q")
        dvc("commit", "-q", "-f", "ingest")
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture
def keys(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import s3fs

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


def md5(name: str) -> str:
    return hashlib.md5(f"what {name} shows".encode(), usedforsecurity=False).hexdigest()


def read(address: str, digest: str) -> bytes:
    with fsspec.open(f"{address}/{digest[:2]}/{digest[2:]}", "rb") as file:
        content: bytes = file.read()
    return content


def test_a_store_gets_a_remote_of_its_own_and_only_what_is_needed(project: Path, tmp_path: Path) -> None:
    """The project has no remote that others can read: one in a folder of this machine is none."""
    dvc("remote", "add", "-d", "here", str(tmp_path / "here"))
    before = (project / ".dvc/config").read_bytes()
    for _ in range(2):
        found = remote_images(f"file://{tmp_path / 'store'}", NAMES[:2])
        assert found.objects == {name: md5(name) for name in NAMES[:2]}
        assert read(found.address, md5("deep/b.jpg")) == b"what deep/b.jpg shows"
    there = [path for path in (tmp_path / "store/dvc/files/md5").rglob("*") if path.is_file()]
    assert len(there) == 2 and not (tmp_path / "here").exists()
    assert (project / ".dvc/config").read_bytes() == before
    assert "'remote \"store\"'" in (project / ".dvc/config.local").read_text()


@pytest.mark.usefixtures("keys")
def test_a_store_at_s3(project: Path) -> None:
    found = remote_images("s3://bucket/yolox", NAMES)
    assert found.address == "s3://bucket/yolox/dvc/files/md5" and not found.options
    assert read(found.address, md5("c.jpg")) == b"what c.jpg shows"


@pytest.mark.usefixtures("keys")
def test_the_default_remote_is_used_and_what_it_lacks_is_counted(project: Path, s3: S3) -> None:
    dvc("remote", "add", "-d", "origin", "s3://bucket/origin")
    dvc("remote", "modify", "origin", "endpointurl", s3.url)
    with pytest.raises(InputError, match=r"DVC remote origin: expected 3 images, got none of 3 .*Run `dvc push` first"):
        remote_images("s3://bucket/yolox", NAMES)
    dvc("push", "-q")
    found = remote_images("s3://bucket/yolox", NAMES)
    assert found.address == "s3://bucket/origin/files/md5" and found.options == {"endpoint_url": s3.url}
    assert not (project / ".dvc/config.local").exists()
    digest = md5("a.jpg")
    s3.client().delete_object(Bucket="bucket", Key=f"origin/files/md5/{digest[:2]}/{digest[2:]}")
    with pytest.raises(InputError, match=r"expected 3 images, got none of 1 \(a\.jpg\)\. Run `dvc push` first"):
        remote_images("s3://bucket/yolox", NAMES)


@pytest.mark.parametrize("layout", ["version_aware", "worktree"])
def test_a_remote_of_another_layout_is_refused(project: Path, layout: str) -> None:
    dvc("remote", "add", "-d", "cloud", "s3://bucket/cloud")
    dvc("remote", "modify", "cloud", layout, "true")
    with pytest.raises(InputError, match=rf"DVC remote cloud: .* that keeps files by their md5, got {layout}"):
        remote_images("file:///nowhere", NAMES)


def test_what_neither_cache_nor_remote_has_is_counted(project: Path, tmp_path: Path) -> None:
    digest = md5("c.jpg")
    (project / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(InputError, match=r"expected 3 images in the cache, got none of 1 \(c\.jpg\)"):
        remote_images(f"file://{tmp_path / 'store'}", NAMES)


def test_images_that_dvc_does_not_know_are_refused(project: Path) -> None:
    with pytest.raises(InputError, match=r"dvc.lock: expected all images .*got none of 1 \(d\.jpg\)"):
        remote_images("file:///nowhere", [*NAMES, "d.jpg"])
    (project / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {}}))
    with pytest.raises(InputError, match=r"dvc.lock: expected the md5 of data/raw, got none"):
        remote_images("file:///nowhere", NAMES)
