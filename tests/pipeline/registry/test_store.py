"""A store that is broken, slow or misspelled: one line within a stated time, and no file that reading would make."""

import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pipeline.registry import store
from pipeline.registry.lineage import ADVICE
from pipeline.registry.promotion import judge
from pipeline.registry.resolve import registered, resolve
from pipeline.registry.store import StoreAway, connect, is_default, tracking_uri, unreachable
from yolox_core.errors import InputError

REFERENCE = "models:/yolox-detector@champion"
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server on the loopback interface that does `answer` for each connection."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            asked = connection.recv(65536)
            if asked.startswith(b"GET /health"):
                connection.sendall(HEALTHY)
            else:
                answer(connection, asked)

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()


def break_off(connection: socket.socket, _: bytes) -> None:
    connection.sendall(BROKEN)


def drip(connection: socket.socket, _: bytes) -> None:
    """A byte now and then: each is an answer to a limit that begins anew with every byte."""
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not threading.Event().wait(0.1):
            connection.sendall(b" ")
    except OSError:  # who asked has gone
        return


@pytest.mark.parametrize(("way", "reason"), [(break_off, "503"), (drip, "no whole answer within 2 s")])
def test_a_server_that_is_there_and_does_not_answer_is_waited_for_with_a_line_and_an_end(
    way: Callable[[socket.socket, bytes], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(store, "ANSWER_WITHIN_S", 1.0)
    monkeypatch.setattr(store, "WAIT_S", 2.0)
    with answering(way) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        with pytest.raises(StoreAway, match=rf"{url}: MLflow does not answer \(.+\)\. Start it") as refused:
            registered(REFERENCE)
        note = capsys.readouterr().err
        assert note.count("\n") == 1 and note.startswith(f"note: waiting for MLflow at {url} (")
        assert note.endswith("), for at most 2 s\n")
        assert reason in str(refused.value) or "within 2 s" in str(refused.value)
        with pytest.raises(StoreAway, match="MLflow does not answer"):
            connect(url, advice=ADVICE)


@pytest.mark.parametrize("ask", [lambda: resolve(REFERENCE), lambda: judge("yolox-detector", "1")])
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite:///misspelled.db", "there is no such file"),
        ("sqlite:////nowhere/mlflow.db", "there is no such file"),
        ("sqlite+pysqlite:///misspelled.db", "there is no such file"),
        ("sqlite:misspelled.db", "expected sqlite:///<file>"),
        ("sqlite://misspelled.db", "expected sqlite:///<file>"),
        ("sqlite:///other.db", "holds no tables of MLflow"),
        ("sqlite:///notes.txt", "file is not a database"),
    ],
)
def test_reading_makes_no_database(
    uri: str, words: str, ask: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    Path("notes.txt").write_text("no database" * 100)
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    other.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError) as refused:
        ask()
    assert words in str(refused.value) and uri in str(refused.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b=c", "a#b", "grün", "it's"])
def test_the_store_lies_beside_a_project_of_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SQLAlchemy, by which MLflow opens it, makes of the address."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with create_engine(tracking_uri()).connect() as connection:
        connection.execute(text("CREATE TABLE experiments (id INTEGER)"))
        connection.commit()
    assert (tmp_path / name / "mlflow.db").is_file() and is_default(tracking_uri())
    assert unreachable(tracking_uri(), new=False) == "the file holds no tables of MLflow", "the file itself is checked"
