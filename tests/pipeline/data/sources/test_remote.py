"""Folders and archives at addresses: a real S3 server, fsspec's own memory, and a DVC repository elsewhere."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.config.source_spec import SourceSettings
from pipeline.data.formats.read import read_dataset
from pipeline.data.sources import remote
from pipeline.data.sources.fetch import bring, digest_of
from tests import needs
from tests.pipeline.data import folders
from tests.pipeline.data.sources.test_archive import make_zip
from tests.servers import S3, s3_server
from yolox_core.errors import InputError

CAT, DOG = ("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    needs.module("s3fs")
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A new bucket, and the environment in which it can be read."""
    import s3fs

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{abs(hash(request.node.name))}"
    s3.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, emptied afterwards."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def put(s3: S3, bucket: str, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            s3.client().put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def refusal(address: str) -> str:
    with pytest.raises(InputError) as refused:
        bring(SourceSettings(address))
    assert "\n" not in str(refused.value)
    assert not list(Path().rglob("state.json"))
    return str(refused.value)


class Fetches:
    """Counts the files that are fetched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        fetch = remote.Remote.fetch

        def counted(self_: remote.Remote, file: remote.RemoteFile, path: Path, shown: Any) -> None:
            self.names.append(Path(file.path).name)
            fetch(self_, file, path, shown)

        monkeypatch.setattr(remote.Remote, "fetch", counted)

    def since(self) -> list[str]:
        names, self.names = sorted(self.names), []
        return names


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> Fetches:
    return Fetches(monkeypatch)


def test_a_folder_on_s3_is_copied_and_what_is_unchanged_never_again(
    s3: S3, bucket: str, tmp_path: Path, fetches: Fetches
) -> None:
    here = folders.voc(tmp_path / "here", {"a": [CAT], "b": [DOG]})
    (here / "notes.pdf").write_text("not data")
    put(s3, bucket, here, "deep/images")
    wanted = SourceSettings(f"s3://{bucket}/deep/images")
    first = digest_of(wanted)
    assert not fetches.since(), "the digest needs no file"
    folder = bring(wanted)
    assert fetches.since() == ["a.jpg", "a.xml", "b.jpg", "b.xml"]
    assert read_dataset(folder)[0].categories == read_dataset(here)[0].categories
    assert (folder / "JPEGImages/a.jpg").read_bytes() == (here / "JPEGImages/a.jpg").read_bytes()
    assert bring(wanted) == folder and not fetches.since() and digest_of(wanted) == first

    folders.voc_xml(here / "Annotations" / "a.xml", [DOG, DOG])
    put(s3, bucket, here, "deep/images")  # all of them anew, with the times of now
    s3.client().delete_object(Bucket=bucket, Key="deep/images/JPEGImages/b.jpg")
    assert digest_of(wanted) != first
    bring(wanted)
    assert fetches.since() == ["a.xml"]
    assert not (folder / "JPEGImages/b.jpg").exists()


def test_an_archive_on_s3(s3: S3, bucket: str, tmp_path: Path, fetches: Fetches) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"first"})
    s3.client().put_object(Bucket=bucket, Key="a.zip", Body=archive.read_bytes())
    wanted = SourceSettings(f"s3://{bucket}/a.zip")
    first, folder = digest_of(wanted), bring(wanted)
    assert (folder / "a.txt").read_bytes() == b"first"
    bring(wanted)
    assert fetches.since() == ["a.zip"] and not list(Path().rglob("*.part*"))
    make_zip(tmp_path / "b.zip", {"a.txt": b"second"})
    s3.client().put_object(Bucket=bucket, Key="a.zip", Body=(tmp_path / "b.zip").read_bytes())
    assert digest_of(wanted) != first
    assert (bring(wanted) / "a.txt").read_bytes() == b"second"
    with pytest.raises(InputError, match=f"expected an archive of sha256 {'0' * 64}, got"):
        bring(SourceSettings(f"s3://{bucket}/a.zip", sha256="0" * 64))


def test_what_s3_refuses_is_one_line(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "got 0 files" in refusal(f"s3://{bucket}/nothing")
    assert "got nothing there" in refusal(f"s3://{bucket}/nothing.zip")
    assert "NoSuchBucket" in refusal("s3://no-such-bucket/a") or "got nothing there" in refusal("s3://no-such-bucket/a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    assert "Check address, rights and network" in refusal(f"s3://{bucket}/nothing.zip")


def test_a_copy_that_was_cut_goes_on(memory: Any, monkeypatch: pytest.MonkeyPatch, fetches: Fetches) -> None:
    for number in range(20):
        memory.pipe(f"/set/{number:02}{'n' * 249}.txt", b"x" * number)
    wanted = SourceSettings("memory://set")
    fetch, begun = remote.Remote.fetch, []

    def cut(self: remote.Remote, file: remote.RemoteFile, path: Path, shown: Any) -> None:
        begun.append(file)
        if len(begun) == 12:
            raise KeyboardInterrupt
        fetch(self, file, path, shown)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(remote.Remote, "fetch", cut)
        bring(wanted)
    assert not list(Path().rglob("state.json")), "half a copy is not trusted"
    done = len(fetches.since())
    folder = bring(wanted)
    assert done + len(fetches.since()) == 20 and done >= 11
    assert [len(path.read_bytes()) for path in sorted(folder.iterdir())] == list(range(20))


def test_a_cut_line_of_the_journal_costs_a_file_and_no_more(memory: Any, fetches: Fetches) -> None:
    for name in "ab":
        memory.pipe(f"/set/{name}.txt", b"x")
    folder = bring(SourceSettings("memory://set"))
    journal = folder.with_name("journal.jsonl")
    journal.write_bytes(journal.read_bytes()[:-5])
    memory.pipe("/set/c.txt", b"new")
    fetches.since()
    bring(SourceSettings("memory://set"))
    assert fetches.since() == ["b.txt", "c.txt"]


def test_names_there_cannot_lead_out(memory: Any) -> None:
    memory.store["/set/../../../out.txt"] = memory.store["/set/a.txt"] = fsspec.implementations.memory.MemoryFile(
        memory, "/set/a.txt", b"x"
    )
    assert "expected names inside the folder" in refusal("memory://set")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("memory://nothing", "got 0 files and none of them"),
        ("nonsense://a/b", "Protocol not known: nonsense"),
        ("dvc://somewhere:images", "expected dvc://REPOSITORY@REVISION:PATH"),
        ("dvc:///no/repository@main:images", "Check address, rights and network"),
    ],
)
def test_an_address_that_is_none_is_one_line(address: str, says: str) -> None:
    assert says in refusal(address)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)  # nor looked for before
    said = refusal("s3://bucket/images")
    assert "expected a package that reads s3://" in said and "pip install 'yolox-pipeline[s3]'" in said


def test_a_file_address_is_a_path(tmp_path: Path) -> None:
    here = folders.voc(tmp_path / "here", {"a": [CAT]})
    assert bring(SourceSettings(f"file://{here}")) == here
    assert digest_of(SourceSettings(f"file://{here}")) == digest_of(SourceSettings(str(here)))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A DVC repository with images in its remote, annotations in git and a tag `v1`."""
    root = tmp_path / "repository"
    folders.voc(root / "set", {"a": [CAT], "b": [DOG]})
    make_zip(root / "git.zip", {"a.txt": b"in git"})
    make_zip(root / "dvc.zip", {"a.txt": b"in the remote"})
    steps = [
        "git init --quiet",
        "dvc init --quiet",
        f"dvc remote add --quiet --default store {tmp_path / 'store'}",
        "dvc add --quiet set/JPEGImages dvc.zip",
        "git add --all",
        "git -c user.name=t -c user.email=t@example.org commit --quiet --message first",
        "git tag v1",
        "dvc push --quiet",
    ]
    for step in steps:
        words = step.split()
        command = [sys.executable, "-m", "dvc", *words[1:]] if words[0] == "dvc" else words
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root


def test_a_folder_of_another_dvc_repository(repository: Path, fetches: Fetches) -> None:
    wanted = SourceSettings(f"dvc://{repository}@v1:set")
    first, folder = digest_of(wanted), bring(wanted)
    assert fetches.since() == ["a.jpg", "a.xml", "b.jpg", "b.xml"]
    bring(wanted)
    assert not fetches.since() and digest_of(wanted) == first
    records = read_dataset(folder)[0]
    assert records.class_names == ("cat", "dog")
    held = (repository / "set/JPEGImages/a.jpg").read_bytes()
    assert (folder / "JPEGImages/a.jpg").read_bytes() == held
    for archive, content in (("git.zip", b"in git"), ("dvc.zip", b"in the remote")):
        assert (bring(SourceSettings(f"dvc://{repository}@v1:{archive}")) / "a.txt").read_bytes() == content
    with pytest.raises(InputError, match="got RevError"):
        bring(SourceSettings(f"dvc://{repository}@v2:set"))
