"""Which MLflow store is used, and how it is reached.

MLFLOW_TRACKING_URI names it; by default it is an sqlite file and an artifact folder at the project's root. MLflow
is imported inside functions here and in this whole room: it takes 5 s, and its telemetry starts at its import, so it
must have been switched off just before. MLflow's own client tries for minutes to reach a store that is away
(mlflow/environment_variables.py: 7 times, of 120 s each; mlflow/store/db/utils.py: 10, in 100 s), so `connect` probes
the store before it, and `ask` sends its one request with a short limit of its own.
"""

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from yolox_core.errors import InputError, sentence
from yolox_core.errors import reason as brief

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
ANSWER_WITHIN_S = 5.0
ONE_TRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(round(ANSWER_WITHIN_S))}
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # where the address names none

Answer = TypeVar("Answer")
_trying = threading.Lock()  # whoever holds it has changed MLflow's limits


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the sqlite file in the current folder by its absolute path (workers have other ones)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / DATABASE}"


def is_default(uri: str) -> bool:
    """Whether this is the store beside the project; a server keeps its own artifacts."""
    return uri == f"sqlite:///{Path.cwd() / DATABASE}"


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


def unreachable(uri: str) -> str | None:
    """Why the store cannot be used, in a few words; None where nothing speaks against it. Takes 5 s at most."""
    try:
        scheme = urlsplit(uri).scheme
    except ValueError as wrong:
        return f"not an address: {wrong}"
    if scheme in ("", "file"):
        return "MLflow 3 has no file store any more; use sqlite:///<file> or a server's http address"
    if scheme == "sqlite":
        return _unreadable(Path(uri.removeprefix("sqlite:///").partition("?")[0]))
    return _silent(uri) if scheme in ("http", "https") else _closed(uri)


def _unreadable(database: Path) -> str | None:
    if not database.parent.is_dir():
        return None  # MLflow makes it
    import sqlite3

    try:
        with closing(sqlite3.connect(database, timeout=ANSWER_WITHIN_S)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as broken:
        return brief(broken)
    return None


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
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_WITHIN_S):
            return None
    except urllib.error.HTTPError:
        return None  # it answers; what it refuses is MLflow's to say
    except urllib.error.URLError as away:
        # a certificate that only MLflow's own settings make valid is an answer, too
        return None if isinstance(away.reason, ssl.SSLError) else f"{away.reason}"
    except http.client.HTTPException as foreign:
        return f"not an HTTP server's address: {str(foreign)[:100] or type(foreign).__name__}"
    except (OSError, ValueError) as away:
        return brief(away)


def connect(uri: str, *, advice: str = "") -> "MlflowClient":
    """A client of a store that answers, its database made where it is new; InputError with `advice` where it is not."""
    reason = unreachable(uri)
    if reason is None:
        load_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        # ImportError: a database's driver, of which mlflow-skinny has none; ValueError: an address that only it reads
        refusals: tuple[type[Exception], ...] = (MlflowException, *_database_errors(), OSError, ImportError, ValueError)
        try:
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            return client
        except refusals as refused:
            reason = brief(refused)
            password = _password(uri)
            reason = reason.replace(f":{password}@", ":***@") if password else reason
    raise InputError(f"{shown(uri)}: MLflow does not answer ({reason}). {advice}")


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
    again with MLflow's own limits. InputError where there is no store, with `advice`; for `where` if it refuses.
    """
    answered, answer = _first_try(uri, question, where) if is_server(uri) else (False, None)
    return answer if answered else _answer(question, connect(uri, advice=advice), where)


def _first_try(uri: str, question: Callable[["MlflowClient"], Answer], where: str) -> tuple[bool, Answer | None]:
    """Whether a server has answered within the short limit, and what."""
    load_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException, RestException

    try:
        with _limited_to_one_try():
            return True, question(MlflowClient(tracking_uri=uri))
    except RestException as refused:
        _unless_missing(refused, where)
        return True, None
    except (MlflowException, ValueError):
        return False, None  # away, busy, or no address: `connect` finds out which


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
def _limited_to_one_try() -> Iterator[None]:
    """MLflow reads its limits from the environment at each request."""
    with _trying:
        before = {name: os.environ.get(name) for name in ONE_TRY}
        os.environ.update(ONE_TRY)
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
