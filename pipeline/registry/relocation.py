"""The artifacts of a store beside a project that was moved or copied, for MLflow records absolute folders.

What reads maps them to the folder where the project lies now; what writes first puts them right in the database, once.
So a copy never reads from its original nor writes into it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.registry.store import ANSWER_WITHIN_S, ARTIFACTS, DATABASE, is_default
from yolox_core.errors import InputError

# where MLflow's database has addresses of artifacts (mlflow/store/tracking/dbmodels, mlflow/store/model_registry)
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def located(address: str, uri: str) -> str:
    """Where an artifact of the store at `uri` is now; the address itself, unless the store is that of this project."""
    parts = urlsplit(address)
    if not is_default(uri) or parts.scheme not in ("", "file"):
        return address
    _, folder, inside = f"{unquote(parts.path)}/".rpartition(f"/{ARTIFACTS}/")
    return (Path.cwd() / ARTIFACTS / inside).as_uri() if folder else address


def on_this_machine(address: str) -> Path | None:
    """The folder at a local address; None for an address elsewhere."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(address)


def artifact_of_run(run_id: str, name: str, uri: str, folder: Path) -> Path:
    """A file or folder kept with a run: in place where it lies on this machine, else fetched into `folder`.

    OSError or MlflowException where it cannot be read.
    """
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    client = MlflowClient(tracking_uri=uri)
    here = on_this_machine(located(client.get_run(run_id).info.artifact_uri, uri)) if is_default(uri) else None
    if here is None:
        return Path(download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(folder), tracking_uri=uri))
    (here / name).stat()  # FileNotFoundError with its place
    return here / name


def relocate(uri: str) -> None:
    """Put the addresses in this project's own database right, all in one transaction; InputError where that fails."""
    if not is_default(uri):
        return
    try:
        _rewrite(uri)
    except sqlite3.Error as broken:
        raise InputError(
            f"{DATABASE}: the project was moved or copied, and its addresses cannot be changed: {broken}. "
            "End what else uses it, or make it writable, and try again."
        ) from broken


def _rewrite(uri: str) -> None:
    with closing(sqlite3.connect(DATABASE, timeout=ANSWER_WITHIN_S)) as database:
        for table, column in _ADDRESSES:
            known = {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}
            if column not in known:  # of a database that MLflow has yet to migrate
                continue
            rows = database.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE 'file:%'").fetchall()
            moved = [(new, old) for (old,) in rows if (new := located(old, uri)) != old]
            if moved:
                database.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", moved)
        database.commit()
