"""Which MLflow store is used, and how it is reached.

MLFLOW_TRACKING_URI names it; by default it is an sqlite file and an artifact folder at the project's root. MLflow
is imported inside functions here and in this whole room: it takes 5 s, and its telemetry starts at its import, so it
must have been switched off just before. MLflow's own client tries for minutes, in silence, to reach a store that is
away (mlflow/environment_variables.py: 7 times, of 120 s each; mlflow/store/db/utils.py: 10, in 100 s), so `connect`
probes the store before it, `ask` sends its one request with a short limit of its own, and both wait for a server that
is there but does not answer for WAIT_S at most, and say so.
"""

import importlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.registry.bounded_wait import NoAnswer, answer_within
from yolox_core.errors import InputError, sentence
from yolox_core.errors import reason as brief

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
ANSWER_WITHIN_S = 5.0
WAIT_S = 30.0  # for a server that is there, and is busy or broken
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
ONE_TRY = {RETRIES: "0", TIMEOUT: str(round(ANSWER_WITHIN_S))}
SOME_TRIES = {RETRIES: "4", TIMEOUT: str(round(WAIT_S))}  # after 0, 4, 8 and 16 s
MADE_BY = "alembic_version"  # a table of each of MLflow's databases
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # where the address names none

Answer = TypeVar("Answer")
_trying = threading.Lock()  # whoever holds it has changed MLflow's limits


class StoreAway(InputError):
    """The store itself does not answer: later it may. Any other InputError is an answer."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the sqlite file in the current folder by its absolute path (workers have other ones)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _beside_the_project()


def is_default(uri: str) -> bool:
    """Whether this is the store beside the project; a server keeps its own artifacts."""
    return uri == _beside_the_project()


def _beside_the_project() -> str:
    # SQLAlchemy reads `%20` as a blank and what comes after `?` as options
    path = str(Path.cwd() / DATABASE).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{path}"


def is_server(uri: str) -> bool:
    """Whether the store answers HTTP requests; anything else is a database."""
    return uri.startswith(("http://", "https://"))


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts; None: the server decides."""
    return (Path.cwd() / ARTIFACTS).as_uri() if is_default(uri) else None


def shown(uri: str) -> str:
    """The address as it may stand in a message or a report: short, and without a password."""
    if is_default(uri):
        return f"sqlite:///{DATABASE}"
    try:
        parts = urlsplit(uri)
    except ValueError:  # no address, but it may hold a password all the same
        scheme, at, rest = uri.rpartition("@")
        return f"{scheme.partition('://')[0]}://***@{rest}" if at else uri
    if parts.password is None:
        return uri
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))


def unreachable(uri: str, new: bool = True) -> str | None:
    """Why the store cannot be used, in a few words; None where nothing speaks against it. Takes 5 s at most.

    `new`: a database that is not there is made by MLflow, which is for those who write.
    """
    try:
        scheme = urlsplit(uri).scheme
    except ValueError as wrong:
        return f"not an address: {wrong}"
    if scheme in ("", "file"):
        return "MLflow 3 has no file store any more; use sqlite:///<file> or a server's http address"
    if scheme.partition("+")[0] == "sqlite":
        return _unreadable(uri, new)
    return _silent(uri) if scheme in ("http", "https") else _closed(uri)


def _unreadable(uri: str, new: bool) -> str | None:
    """Of an sqlite file, which is opened to be read: to look makes none, and changes none."""
    import sqlite3

    _, three, place = uri.partition(":///")
    database = Path(unquote(place.partition("?")[0]))
    if not three or not database.name:
        return "expected sqlite:///<file>, with a fourth slash where the path is absolute"
    if not database.exists():
        return None if new else "there is no such file"
    try:
        address = f"file:{quote(str(database.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=ANSWER_WITHIN_S)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as broken:
        return brief(broken)
    return None if new or MADE_BY in tables else "the file holds no tables of MLflow"


def _closed(uri: str) -> str | None:
    """Of a database's server: MLflow would try for minutes to reach one that is not there."""
    import socket

    parts = urlsplit(uri)
    try:
        port = parts.port or DATABASE_PORTS.get(parts.scheme.partition("+")[0])
        if parts.hostname and port:
            socket.create_connection((parts.hostname, port), ANSWER_WITHIN_S).close()
    except (OSError, ValueError, UnicodeError) as away:
        return brief(away)
    return None


def _silent(uri: str) -> str | None:
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    parts = urlsplit(uri)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/") + "/health"

    def probe() -> None:
        urllib.request.urlopen(address, timeout=ANSWER_WITHIN_S).close()

    try:
        return answer_within(ANSWER_WITHIN_S, probe)
    except urllib.error.HTTPError:
        return None  # it answers; what it refuses is MLflow's to say
    except urllib.error.URLError as away:
        # a certificate that only MLflow's own settings make valid is an answer, too
        return None if isinstance(away.reason, ssl.SSLError) else f"{away.reason}"
    except http.client.HTTPException as foreign:
        return f"not an HTTP server's address: {str(foreign)[:100] or type(foreign).__name__}"
    except (OSError, ValueError) as away:
        return brief(away)


def connect(uri: str, *, advice: str = "", new: bool = True) -> "MlflowClient":
    """A client of a store that answers; InputError with `advice` where it does not. `new`: a database may be made.

    Who reads says `new=False`: a misspelled address would leave an empty database behind.
    """
    reason = unreachable(uri, new)
    if reason is None:
        load_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        # ImportError: a database's driver, of which mlflow-skinny has none; ValueError: an address that only it reads
        refusals: tuple[type[Exception], ...] = (MlflowException, *_database_errors(), OSError, ImportError, ValueError)
        try:
            client = MlflowClient(tracking_uri=uri)
            if is_server(uri):
                _patient(uri, lambda: client.search_experiments(max_results=1), advice)
            else:
                client.search_experiments(max_results=1)
            return client
        except StoreAway:
            raise
        except refusals as refused:
            reason = brief(refused)
            password = _password(uri)
            reason = reason.replace(f":{password}@", ":***@") if password else reason
    raise _away(uri, reason, advice)


def _away(uri: str, reason: str, advice: str) -> StoreAway:
    return StoreAway(f"{shown(uri)}: MLflow does not answer ({reason}). {advice}")


def _password(uri: str) -> str | None:
    """As it stands in the address; another program's error may show the address whole."""
    try:
        return urlsplit(uri).password
    except ValueError:
        return None


def _database_errors() -> tuple[type[Exception], ...]:
    """What MLflow lets through from a database; nothing where it came without any (mlflow-skinny)."""
    if find_spec("sqlalchemy") is None:
        return ()
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError,)


def ask(uri: str, question: Callable[["MlflowClient"], Answer], *, where: str, advice: str) -> Answer | None:
    """A store's answer to one question, at the cost of one request; None where it does not have what is asked for.

    A server is not probed before. Only one that does not answer the first try is, and where it is there it is asked
    again, for WAIT_S. StoreAway, with `advice`, where there is no store or no answer; InputError for `where` if it
    refuses.
    """
    if not is_server(uri):
        return _answer(question, connect(uri, advice=advice, new=False), where)
    load_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException, RestException

    try:
        return _patient(uri, lambda: question(MlflowClient(tracking_uri=uri)), advice)
    except RestException as refused:
        _unless_missing(refused, where)
        return None
    except (MlflowException, NoAnswer) as failed:
        raise _away(uri, _in_short(failed), advice) from failed


def _patient(uri: str, call: Callable[[], Answer], advice: str = "") -> Answer:
    """What a request to a server gives, or raises: tried once, and where nothing comes, for WAIT_S with a line."""
    from mlflow.exceptions import MlflowException, RestException

    try:
        with limited(ONE_TRY):
            return answer_within(ANSWER_WITHIN_S, call)
    except RestException:
        raise
    except (MlflowException, NoAnswer, ValueError) as failed:  # away, busy, or no address
        reason = unreachable(uri)
        if reason is not None:
            raise _away(uri, reason, advice) from failed
        waiting = f"waiting for MLflow at {shown(uri)} ({_in_short(failed)})"
    with limited(SOME_TRIES):
        return answer_within(WAIT_S, call, waiting)


def _in_short(failed: Exception) -> str:
    """Of MLflow's wrapped errors the innermost, which says what came: `too many 503 error responses`."""
    inner = re.findall(r"Caused by \w+\([\"']?(.+?)[\"']?\)\)", str(failed))
    return inner[-1][:150] if inner else brief(failed, 150)


def _answer(question: Callable[["MlflowClient"], Answer], client: "MlflowClient", where: str) -> Answer | None:
    from mlflow.exceptions import MlflowException

    try:
        return question(client)
    except MlflowException as refused:
        _unless_missing(refused, where)
        return None


def _unless_missing(refused: Exception, where: str) -> None:
    """InputError, unless the store says that it does not have what was asked for."""
    if not is_missing(refused):
        raise InputError(f"{where}: MLflow could not look it up: {sentence(refused)}") from refused


@contextmanager
def limited(limits: dict[str, str]) -> Iterator[None]:
    """Other limits of MLflow's for the block, which reads them from the environment when a request begins."""
    with _trying:
        before = {name: os.environ.get(name) for name in limits}
        os.environ.update(limits)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def load_mlflow() -> None:
    """Import MLflow with its telemetry off and its chatter (table migrations, progress bars) off the terminal."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    importlib.import_module("mlflow")

    for name in ("mlflow", "alembic"):
        logger = logging.getLogger(name)
        if logger.level in (logging.NOTSET, logging.INFO):
            logger.setLevel(logging.WARNING)


def is_missing(error: Exception) -> bool:
    """Whether MLflow says that what was asked for is not there."""
    return getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
