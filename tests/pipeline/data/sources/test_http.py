"""Archives from a real web server: resumed, compared, fetched once; every failure is one line."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.config.source_spec import SourceSettings
from pipeline.data.sources import http
from pipeline.data.sources.fetch import bring, digest_of
from tests.pipeline.data.sources.test_archive import CONTENT, make_zip
from yolox_core.errors import InputError


class Server(ThreadingHTTPServer):
    """One archive; what it does wrong is set by the test."""

    daemon_threads = True
    content = b""
    cut_after: int | None = None  # bytes of each answer
    ranges = True
    redirect = ""
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []  # the range of each request

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files/images.zip?key=secret"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range", ""))
        content, start = self.server.content, 0
        if self.server.redirect and not self.path.startswith("/redirected"):
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        if self.server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start < len(content) else 416)
        else:
            self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut_after])

    def log_message(self, format: str, *arguments: object) -> None:
        """The test's output stays its own."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http, "PAUSE_S", 0.01)
    return tmp_path / "project"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server() as running:
        running.content = make_zip(tmp_path / "images.zip", CONTENT | {"b.bin": bytes(range(256)) * 40}).read_bytes()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source(server: Server, content: bytes | None = None) -> SourceSettings:
    digest = hashlib.sha256(server.content if content is None else content).hexdigest()
    return SourceSettings(server.address, sha256=digest)


def refusal(wanted: SourceSettings) -> str:
    with pytest.raises(InputError) as refused:
        bring(wanted)
    said = str(refused.value)
    assert "secret" not in said and "\n" not in said
    assert not list(Path().rglob("state.json")) and not list(Path().rglob("files"))
    return said


def parts() -> list[Path]:
    return list(Path().rglob("*.part"))


def test_an_archive_is_fetched_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = source(server)
    digest = digest_of(wanted)
    assert not server.asked, "the digest needs no request"
    folder = bring(wanted)
    assert (folder / "images/a.jpg").read_bytes() == CONTENT["images/a.jpg"]
    assert "fetched 0.0 MiB of http://127.0.0.1" in capsys.readouterr().err
    assert bring(wanted) == folder and digest_of(wanted) == digest
    assert server.asked == [""] and not parts()


def test_another_digest_is_another_archive(server: Server, tmp_path: Path) -> None:
    folder, first = bring(source(server)), digest_of(source(server))
    server.content = make_zip(tmp_path / "other.zip", {"only.txt": b"new"}).read_bytes()
    assert bring(source(server)) == folder and digest_of(source(server)) != first
    assert [path.name for path in folder.iterdir()] == ["only.txt"]


def test_a_wrong_digest_names_both(server: Server) -> None:
    wanted = source(server, b"other")
    said = refusal(wanted)
    assert str(wanted.sha256) in said and hashlib.sha256(server.content).hexdigest() in said
    assert server.asked == [""] and not parts()


def test_a_cut_connection_is_gone_on_with(server: Server) -> None:
    server.cut_after = len(server.content) // 3 + 1
    assert (bring(source(server)) / "data.yaml").is_file()
    assert server.asked == ["", f"bytes={server.cut_after}-", f"bytes={2 * server.cut_after}-"]


def test_a_server_that_cannot_go_on_starts_again(server: Server) -> None:
    server.ranges, server.cut_after = False, len(server.content) // 2
    assert "are kept; the next try resumes there" in refusal(source(server))
    assert len(server.asked) == http.TRIES
    server.cut_after = None
    assert (bring(source(server)) / "data.yaml").is_file()
    assert not parts()


def test_what_an_earlier_command_has_left_is_gone_on_with(server: Server) -> None:
    server.cut_after = 10
    refusal(source(server))
    (part,) = parts()
    assert part.read_bytes() == server.content[: 10 * http.TRIES]
    server.cut_after = None
    bring(source(server))
    assert server.asked[-1] == f"bytes={10 * http.TRIES}-"


@pytest.mark.parametrize("left", [b"of another file", b"longer" * 10_000])
def test_what_is_left_of_another_file_does_no_harm(server: Server, left: bytes) -> None:
    server.cut_after = 10
    refusal(source(server))
    (part,) = parts()
    part.write_bytes(left)
    server.cut_after = None
    assert (bring(source(server)) / "data.yaml").is_file()


def test_whole_but_not_unpacked_is_not_fetched_again(server: Server) -> None:
    server.cut_after = 10
    refusal(source(server))
    (part,) = parts()
    part.write_bytes(server.content)
    asked = len(server.asked)
    bring(source(server))
    assert len(server.asked) == asked


def test_a_harmful_archive_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = make_zip(tmp_path / "bad.zip", {"good.txt": b"", "../out.txt": b"harm"}).read_bytes()
    assert "expected names inside the folder" in refusal(source(server))
    assert not parts() and not list(Path().rglob("*.txt"))


def test_sent_on_to_another_place(server: Server) -> None:
    server.redirect = f"http://127.0.0.1:{server.server_address[1]}/redirected"
    assert (bring(source(server)) / "data.yaml").is_file()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.zip", "data:,a"])
def test_sent_on_to_what_is_no_web_is_refused(server: Server, target: str) -> None:
    server.redirect = target
    assert "expected to be sent on to http or https" in refusal(source(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, http.TRIES)])
def test_a_refusing_server_is_told(server: Server, status: int, requests: int) -> None:
    server.status = status
    assert f"HTTPError (HTTP Error {status}" in refusal(source(server))
    assert len(server.asked) == requests and not parts()


def test_a_silent_server_ends_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(http, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        wanted = SourceSettings(f"http://127.0.0.1:{deaf.getsockname()[1]}/a.zip", sha256="0" * 64)
        assert "timed out" in refusal(wanted)


def test_an_address_without_a_digest_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected the archive's sha256.*curl -L ADDRESS \| sha256sum"):
        SourceSettings("https://example.org/images.zip?key=secret")
