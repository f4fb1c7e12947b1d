"""Images in an S3 store: moto's server, which is one for tests but speaks S3 and asks for keys (tests/servers.py)."""

import hashlib
import http.server
import multiprocessing
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.training.node_image_cache import NodeImageCache
from tests.servers import S3, s3_server
from yolox_core.errors import InputError

NAMES = ("scene 1.jpg", "scène-2.jpg")
CHECK = "Check YOLOX_IMAGES, and that every node can read there with its AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID"


def content(name: str) -> bytes:
    return f"what {name} shows".encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("images")
    for name in NAMES:
        (folder / name).write_bytes(content(name))
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        s3.take("bucket", folder, "raw/images")
        yield s3


@pytest.fixture
def node(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A node that is set to the server; what one test changes no other finds."""
    import s3fs

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # within one of our tries
    s3fs.S3FileSystem.clear_instance_cache()
    yield monkeypatch
    s3fs.S3FileSystem.clear_instance_cache()


def images(folder: Path, address: str = "s3://bucket/raw/images", **digests: str) -> NodeImageCache:
    of_all = {name: hashlib.sha256(content(name)).hexdigest() for name in (*NAMES, "gone.jpg")}
    return NodeImageCache(address, of_all | digests, folder, 1 << 30)


def refusal(fetch: NodeImageCache, name: str = NAMES[0]) -> str:
    """The one line that says why an image does not come; nothing is kept of it."""
    with pytest.raises(InputError) as refused:
        fetch(name)
    line = str(refused.value)
    assert "\n" not in line and line.startswith(f"{fetch.address}/{name} at "), line
    assert not [path for path in fetch.folder.rglob("*") if path.is_file()]
    return line


@pytest.mark.parametrize("name", NAMES)
def test_an_image_comes_from_the_store(node: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    fetch = images(tmp_path)
    assert fetch(name).read_bytes() == content(name)
    node.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert fetch(name).read_bytes() == content(name), "fetched once"


def test_a_loading_process_reads_for_itself(node: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Told as the loader tells its own, after this process has used the store. Spawned: it gets today's environment."""
    fetch = images(tmp_path)
    fetch(NAMES[0])
    with multiprocessing.get_context("spawn").Pool(1) as loading:
        assert loading.apply_async(fetch, (NAMES[1],)).get(60).read_bytes() == content(NAMES[1])


def test_another_image_than_was_prepared(node: pytest.MonkeyPatch, server: S3, tmp_path: Path) -> None:
    line = refusal(images(tmp_path, **{NAMES[0]: "0" * 64}))
    found = hashlib.sha256(content(NAMES[0])).hexdigest()[:12]
    assert f" at {server.url}, read on " in line
    assert f"expected the image that was prepared (sha256 {'0' * 12}), got another ({found}). Copy data/raw/" in line


def test_an_image_or_a_bucket_that_is_not_there(node: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = r"expected an image, got none \(.+\)\. Copy data/raw/images there, or set YOLOX_IMAGES to where it lies\."
    for fetch, name in ((images(tmp_path), "gone.jpg"), (images(tmp_path, "s3://bukcet/raw/images"), NAMES[0])):
        assert re.search(words, refusal(fetch, name))


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key(node: pytest.MonkeyPatch, server: S3, tmp_path: Path, wrong: str) -> None:
    node.setenv(wrong, "wrong")
    line = refusal(images(tmp_path))
    assert "expected the image, got PermissionError (" in line and CHECK in line
    assert server.secret not in line


def test_no_key(node: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node.delenv("AWS_ACCESS_KEY_ID")
    node.delenv("AWS_SECRET_ACCESS_KEY")
    line = refusal(images(tmp_path))
    assert "got NoCredentialsError (Unable to locate credentials). " in line and CHECK in line


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:9", "got EndpointConnectionError (Could not connect"),  # the discard port: refused at once
        ("127.0.0.1:9", "got ValueError (Invalid endpoint: 127.0.0.1:9)"),
    ],
)
def test_an_endpoint_that_does_not_answer(node: pytest.MonkeyPatch, tmp_path: Path, endpoint: str, words: str) -> None:
    node.setenv("AWS_ENDPOINT_URL", endpoint)
    line = refusal(images(tmp_path))
    assert f" at {endpoint}, read on " in line and words in line and CHECK in line


def test_an_endpoint_that_is_another_server(node: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        node.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{web.server_port}")
        line = refusal(images(tmp_path / "here"))
        web.shutdown()
    assert f" at http://127.0.0.1:{web.server_port}, read on " in line and "expected an image, got none (" in line
