"""Which MLflow store is used, and how it is reached.

MLFLOW_TRACKING_URI names it; by default it is an sqlite file and an artifact folder at the project's root. MLflow
is imported inside functions here and in this whole room: it takes 5 s, and its telemetry starts at its import, so it
must have been switched off just before. The store is tried once before MLflow's own client, whose retries take
minutes (mlflow/environment_variables.py: 7, of 120 s each; mlflow/store/db/utils.py: 10, in 100 s).
"""

import http.client
import importlib
import logging
import os
import socket
import sqlite3
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from yolox_core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
ANSWER_WITHIN_S = 5.0
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # where the address names none


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the sqlite file in the current folder by its absolute path (workers have other ones)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / DATABASE}"


def is_default(uri: str) -> bool:
    """Whether this is the store beside the project; a server keeps its own artifacts."""
    return uri == f"sqlite:///{Path.cwd() / DATABASE}"


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
    try:
        with closing(sqlite3.connect(database, timeout=ANSWER_WITHIN_S)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as broken:
        return f"{broken}"
    return None


def _closed(uri: str) -> str | None:
    """Of a database's server: MLflow would try for minutes to reach one that is not there."""
    parts = urlsplit(uri)
    try:
        port = parts.port or DATABASE_PORTS.get(parts.scheme.partition("+")[0])
        if parts.hostname and port:
            socket.create_connection((parts.hostname, port), ANSWER_WITHIN_S).close()
    except (OSError, ValueError, UnicodeError) as away:
        return f"{away}"
    return None


def _silent(uri: str) -> str | None:
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
        return f"{away}"


def connect(uri: str, *, advice: str = "") -> "MlflowClient":
    """A client of a store that answers, its database made where it is new; InputError with `advice` where it is not."""
    reason = unreachable(uri)
    if reason is None:
        load_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            return client
        except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as refused:
            # ImportError: the driver of another database; ValueError: an address that only the driver reads
            reason = str(refused).splitlines()[0] if str(refused) else type(refused).__name__
    raise InputError(f"{shown(uri)}: MLflow does not answer ({reason}). {advice}")


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
