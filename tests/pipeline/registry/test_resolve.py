"""References to models of a real MLflow server: one request each, one fetch of each version."""

import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipeline.config.digests import folder_digests
from pipeline.registry.model_cache import VARIABLE
from pipeline.registry.promotion import judge
from pipeline.registry.register import CHAMPION, Release, register
from pipeline.registry.resolve import RELEASED_TAG, WEIGHTS_TAG, lookup, registered, resolve
from pipeline.registry.store import connect
from tests.pipeline.registry.test_register import a_release
from tests.servers import Mlflow, mlflow_server
from yolox_core.errors import InputError

NAME = "yolox-detector"
CHAMPIONS = f"models:/{NAME}@{CHAMPION}"
LOOKUP = "GET /api/2.0/mlflow/registered-models/alias"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Mlflow]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_store) as running:
        yield running


@pytest.fixture(scope="module")
def releases(server: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    """Versions 1, the champion, and 2."""
    folder = tmp_path_factory.mktemp("releases")
    made = a_release(folder, seed=1), a_release(folder, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", server.url)
        for release in made:
            register(release)
    return made


@pytest.fixture
def kept_at(server: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test alone keeps what it fetches from the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kept"


def asked(server: Mlflow, question: Callable[[], object]) -> list[str]:
    """The requests that a question costs."""
    before = len(server.requests())
    question()
    return server.requests()[before:]


def test_a_kept_version_costs_one_lookup_of_its_alias(
    server: Mlflow, releases: tuple[Release, Release], kept_at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = asked(server, lambda: resolve(CHAMPIONS))
    assert first[0] == LOOKUP and any("model.onnx" in request for request in first)
    assert not any("/code/" in request for request in first)  # only the released folder is fetched
    assert asked(server, lambda: resolve(CHAMPIONS)) == [LOOKUP]
    folder = resolve(CHAMPIONS)
    assert folder.is_relative_to(kept_at) and folder.parent.name == lookup(CHAMPIONS)[0].tags[RELEASED_TAG]
    assert folder_digests(folder) == folder_digests(releases[0].folder)

    client = connect(server.url)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    assert folder_digests(resolve(CHAMPIONS)) == folder_digests(releases[1].folder)
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    found = registered(CHAMPIONS)
    assert asked(server, lambda: found.folder()) == [] and found.folder() == folder

    (folder / "model.onnx").write_bytes(b"damaged")
    capsys.readouterr()
    assert any("model.onnx" in request for request in asked(server, lambda: resolve(CHAMPIONS)))
    assert "model.onnx. It is fetched again." in capsys.readouterr().err
    assert folder_digests(folder) == folder_digests(releases[0].folder)


def test_a_version_of_an_earlier_release_is_kept_too(
    server: Mlflow, releases: tuple[Release, Release], kept_at: Path
) -> None:
    client = connect(server.url)
    tag = client.get_model_version(NAME, "2").tags[RELEASED_TAG]
    client.delete_model_version_tag(NAME, "2", RELEASED_TAG)
    try:
        assert folder_digests(resolve(f"models:/{NAME}/2")) == folder_digests(releases[1].folder)
        again = asked(server, lambda: resolve(f"models:/{NAME}/2"))
        assert again == ["GET /api/2.0/mlflow/model-versions/get"]
        client.set_model_version_tag(NAME, "2", RELEASED_TAG, "../elsewhere")  # no name for a folder
        shutil.rmtree(kept_at)
        with pytest.raises(InputError, match="a file of version 2 is not what was registered"):
            resolve(f"models:/{NAME}/2")
        assert not (kept_at.parent / "elsewhere").exists()
    finally:
        client.set_model_version_tag(NAME, "2", RELEASED_TAG, tag)


def test_what_the_store_lost_is_not_promoted_though_it_is_kept_here(
    server: Mlflow, releases: tuple[Release, Release], kept_at: Path, tmp_path: Path
) -> None:
    resolve(f"models:/{NAME}/2")
    digest = lookup(f"models:/{NAME}/2")[0].tags[WEIGHTS_TAG]
    (weights,) = (
        path
        for path in (server.database.parent / "artifacts").glob("**/artifacts/**/model.safetensors")
        if folder_digests(path.parent)[path.name] == digest
    )
    shutil.move(weights, tmp_path / "lost")
    try:
        with pytest.raises(InputError, match=r"model\.safetensors of version 2 is not what was registered"):
            judge(NAME, "2")
        assert folder_digests(resolve(f"models:/{NAME}/2")) == folder_digests(releases[1].folder)
    finally:
        shutil.move(tmp_path / "lost", weights)


def test_a_server_that_is_busy_is_asked_again(
    server: Mlflow, releases: tuple[Release, Release], kept_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        """Passes everything on, but for the first lookup."""

        def do_GET(self) -> None:
            seen.append(self.path)
            first = self.path.startswith(LOOKUP.removeprefix("GET ")) and len(seen) == 1
            self._pass_on(503, b"busy") if first else self._ask(None)

        def do_POST(self) -> None:
            self._ask(self.rfile.read(int(self.headers["Content-Length"])))

        def _ask(self, body: bytes | None) -> None:
            asked = urllib.request.Request(server.url + self.path, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(asked) as answer:
                    self._pass_on(answer.status, answer.read())
            except urllib.error.HTTPError as refused:
                self._pass_on(refused.code, refused.read())

        def _pass_on(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        Thread(target=busy.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{busy.server_port}")
        assert registered(CHAMPIONS).version == "1"
        busy.shutdown()
    assert sum(path.startswith(LOOKUP.removeprefix("GET ")) for path in seen) == 2


def test_an_unknown_alias_of_a_server_names_what_there_is(
    server: Mlflow, releases: tuple[Release, Release], kept_at: Path
) -> None:
    with pytest.raises(InputError, match=r"no alias 'winner'\. Known: challenger, champion"):
        resolve(f"models:/{NAME}@winner")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "http://nobody.invalid:5000", "http://127.0.0.1:abc", "http://[::1"]
)
def test_a_server_that_is_away_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match=r"MLflow does not answer \(.+\)\. Start it, or name another store"):
        resolve(CHAMPIONS)
