"""Copies the images of a data set into a folder of ours, and checks that such a folder may be written.

Used wherever a data set is written anew: by ingest, `yolox convert` and `yolox doctor --fix`. Sources are only read.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yolox_core.atomic_files import copy_file
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError

COPIERS = 8  # threads


def copy_images(records: DatasetRecords, folder: Path) -> None:
    """Copy every image into `folder` by its name."""

    def copy(file_name: str) -> None:
        target = folder / file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_file(records.image_root / file_name, target)
        except FileNotFoundError:
            return  # a link to nowhere: validate drops the image and says so
        except OSError as failed:
            raise InputError(
                f"{records.image_root / file_name}: expected an image to copy to {folder}, got {failed.strerror}."
            ) from failed

    with ThreadPoolExecutor(COPIERS) as pool:
        list(pool.map(copy, (record.file_name for record in records.images)))


def check_new(name: str, target: Path, source: Path) -> None:
    """InputError unless `target` is new or empty, and outside of the `source` that is read."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{name}: expected a new or empty folder, got one with content. Name another.")
    real, place = target.resolve(), source.resolve()
    inner = [place, *(entry.resolve() for entry in _linked_folders(source))]
    if any(folder == real or folder in real.parents for folder in inner):
        raise InputError(f"{name}: expected a folder outside of {source}, got one inside. Name another.")


def _linked_folders(source: Path) -> list[Path]:
    """Folders that lie elsewhere and are read as if they were here."""
    return [entry for entry in source.iterdir() if entry.is_symlink() and entry.is_dir()] if source.is_dir() else []
