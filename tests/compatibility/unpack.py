"""Unpacks project.tar.xz and tells its MLflow store where it lies now. Standard library alone; tests may copy it."""

import shutil
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PLACEHOLDER = (
    "/srv/project"  # where the project lay: so it stands in mlflow.db (and in MLmodel, where nothing reads it)
)
# every place of mlflow.db that holds it
PLACES = (
    ("experiments", "artifact_location"),  # of experiment 0 a plain path, otherwise file:///...
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def unpack(archive: Path, folder: Path) -> Path:
    """The project in `folder/project`, ready for its commands; modification times are those of the archive (0)."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    relocate(folder / "project", PLACEHOLDER)
    return folder / "project"


def copy(project: Path, target: Path) -> Path:
    """A second copy of an unpacked one; keeps the times, which the fingerprint of the images reads."""
    shutil.copytree(project, target, copy_function=shutil.copy2)
    relocate(target, str(project.resolve()))
    return target


def relocate(project: Path, before: str) -> None:
    """Replace the folder `before` by this one in mlflow.db."""
    after = str(project.resolve())
    with closing(sqlite3.connect(project / "mlflow.db")) as store, store:
        for table, column in PLACES:
            for old, new in (("file://" + quote(before), "file://" + quote(after)), (before, after)):
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, len(old) + 1, old + "/"),
                )


if __name__ == "__main__":
    print(unpack(Path(sys.argv[1]), Path(sys.argv[2])))
