"""A server of ours on loopback that speaks as the public one of releases does.

The address of a file is answered by 302 to another host and port with a signed query, which expires with its request;
there the file is given, with ranges. What goes wrong is set by the test.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Release(ThreadingHTTPServer):
    """The one whose address is known."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Redirect)
        self.files = dict(files)
        self.storage = _Storage(self)
        self.asked: list[str] = []  # paths
        self.ranges: list[str] = []  # of the requests that the second one has answered
        self.cut_after: int | None = None  # bytes of each answer
        self.signatures: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/releases/download/0.1.1rc0"


class _Storage(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, release: Release) -> None:
        super().__init__(("127.0.0.1", 0), _Download)
        self.release = release


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """The test's output stays its own."""

    def refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Redirect(_Quiet):
    server: Release

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        folder, _, name = urlsplit(self.path).path.rpartition("/")
        if folder != "/releases/download/0.1.1rc0" or name not in server.files:
            self.refuse(404)
            return
        signature = f"secret{len(server.asked)}"
        server.signatures.add(signature)
        self.send_response(302)
        port = server.storage.server_address[1]
        self.send_header("Location", f"http://localhost:{port}/production/{name}?sig={signature}&rsct=binary")
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Download(_Quiet):
    server: _Storage

    def do_GET(self) -> None:
        release, parts = self.server.release, urlsplit(self.path)
        signature = parse_qs(parts.query).get("sig", [""])[0]
        if signature not in release.signatures:
            self.refuse(403)
            return
        release.signatures.remove(signature)
        release.ranges.append(self.headers.get("Range", ""))
        content, start = release.files[parts.path.rpartition("/")[2]], 0
        if "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: release.cut_after])


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Release]:
    """Both servers, until the block ends."""
    with Release(files) as release, release.storage, ExitStack() as stack:
        for server in (release, release.storage):
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield release
