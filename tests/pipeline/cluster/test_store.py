"""The store's address: what cannot be used is one line that names the variable, the host and this machine."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.cluster.store import Store
from tests.servers import S3, free_port, s3_server
from yolox_core.errors import InputError

NODE = socket.gethostname()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        s3.client().create_bucket(Bucket="bucket")
        yield s3


@pytest.fixture
def told(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine that is set to the server, as its user would; nothing is kept for the next test."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**server.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield monkeypatch
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("kind", ["folder", "file", "s3"])
def test_files_go_there_and_come_back(kind: str, tmp_path: Path, told: pytest.MonkeyPatch) -> None:
    addresses = {"folder": str(tmp_path / "kept"), "file": f"file://{tmp_path / 'kept'}", "s3": "s3://bucket/yolox"}
    store = Store(addresses[kind])
    store.check()
    assert store.names("") == set() and not store.exists("runs/a")
    store.write("runs/a", b"one")
    (tmp_path / "b").write_bytes(b"two")
    store.send(tmp_path / "b", "runs/b")
    store.send(tmp_path / "b", "runs/deep/c")
    assert store.names("runs") == {"a", "b"} and store.exists("runs/a")
    store.fetch("runs/b", tmp_path / "back" / "b")
    assert (tmp_path / "back" / "b").read_bytes() == b"two" and store.read("runs/a") == b"one"
    store.remove("runs/a")
    assert store.names("runs") == {"b"}
    with pytest.raises(FileNotFoundError):
        store.fetch("runs/a", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_an_address_that_nothing_reads_is_refused() -> None:
    with pytest.raises(InputError, match=rf"YOLOX_STORE=pigeon://coop, on {NODE}: expected an address that this mach"):
        Store("pigeon://coop")
    with pytest.raises(InputError, match=r"YOLOX_STORE=gs://bucket, .*gcsfs.*Install gcsfs there\."):
        Store("gs://bucket")


def test_a_host_that_does_not_answer_is_named(told: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    told.setenv("AWS_ENDPOINT_URL", nobody)
    with pytest.raises(InputError, match=rf"YOLOX_STORE=s3://bucket at {nobody}, on {NODE}: cannot be written and re"):
        Store("s3://bucket").check()


def test_a_key_that_is_lacking_is_named(told: pytest.MonkeyPatch) -> None:
    told.delenv("AWS_ACCESS_KEY_ID")
    told.delenv("AWS_SECRET_ACCESS_KEY")
    words = rf"on {NODE}: cannot be written and read .*Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY there"
    with pytest.raises(InputError, match=words):
        Store("s3://bucket").check()


def test_a_wrong_key_is_refused_and_not_shown(told: pytest.MonkeyPatch, server: S3) -> None:
    told.setenv("AWS_SECRET_ACCESS_KEY", "no" * 20)
    with pytest.raises(
        InputError, match="Check the address, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ) as refused:
        Store("s3://bucket").check()
    assert server.secret not in str(refused.value) and "nono" not in str(refused.value)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=re.escape(f"YOLOX_STORE={tmp_path}/file, on {NODE}: cannot be written and")):
        Store(str(tmp_path / "file")).check()


def test_the_former_variable_is_a_store_of_checkpoints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLOX_GPU", "0")
    monkeypatch.delenv("YOLOX_STORE", raising=False)
    monkeypatch.setenv("YOLOX_CHECKPOINTS", "s3://bucket/runs")
    compute = ComputeConfig.from_environment()
    assert compute.runs == ("s3://bucket/runs", "YOLOX_CHECKPOINTS") and not compute.through_store
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deprecated: YOLOX_CHECKPOINTS goes with the next release. Set YOLOX_STORE")
    monkeypatch.setenv("YOLOX_STORE", "s3://bucket/all")
    monkeypatch.setenv("RAY_ADDRESS", "host:6379")
    compute = ComputeConfig.from_environment()
    assert compute.runs == ("s3://bucket/all/runs", "YOLOX_STORE") and compute.through_store
