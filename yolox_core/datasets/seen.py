"""What each image file turned out to be: opened by the decoder that training uses, once, on a pool of threads."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from yolox_core.datasets.duplicates import Thumb, thumb
from yolox_core.datasets.image_facts import image_facts
from yolox_core.datasets.image_header import is_complete
from yolox_core.datasets.images import READERS, decode_image
from yolox_core.datasets.known import KnownImages, Row, stamp
from yolox_core.datasets.records import DatasetRecords
from yolox_core.errors import InputError

AT_ONCE = 32  # images a task of the pool: to hand over one by one costs more than a file that is known


@dataclass(frozen=True)
class Seen:
    """What one image file turned out to be."""

    size: tuple[int, int] = (0, 0)  # (height, width) px
    digest: str = ""  # sha256 of the file
    problem: tuple[str, str] | None = None  # (code, what) where it cannot be used
    notes: tuple[tuple[str, str], ...] = ()  # (code, what) of the file, which is used
    thumb: Thumb = field(default_factory=lambda: np.zeros((0, 0), np.uint8))


def look(
    records: DatasetRecords, known: KnownImages | None = None, step: Callable[[], None] = lambda: None
) -> list[Seen]:
    """What every image is, in the records' order. What `known` holds is not looked at again. `step` is called
    after each image.
    """

    def one(path: Path) -> tuple[str | None, Seen | None]:
        now = stamp(path)
        if now is None:
            return None, Seen(problem=("missing-image", "expected an image file, got none"))
        row = known.row(path, now) if known is not None else None
        return now, None if row is None else _from_row(row)

    def several(paths: Sequence[Path]) -> list[tuple[Path, str | None, Seen, bool]]:
        found = [(path, *one(path)) for path in paths]
        return [(path, now, _look(path, known) if view is None else view, view is None) for path, now, view in found]

    seen = []
    paths = [records.path(record) for record in records.images]
    blocks = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
    with ThreadPoolExecutor(READERS) as pool:
        for path, now, view, opened in chain.from_iterable(pool.map(several, blocks)):
            if known is not None and now is not None and opened and view.digest:
                known.remember(path, now, _as_row(view))
            seen.append(view)
            step()
    return seen


def digests(seen: Sequence[Seen], records: DatasetRecords) -> dict[str, str]:
    """sha256 of each image's file, by name; without those that could not be read."""
    return {record.file_name: view.digest for record, view in zip(records.images, seen, strict=True) if view.digest}


def _look(path: Path, known: KnownImages | None) -> Seen:
    try:
        data = path.read_bytes()
    except OSError as failed:
        return Seen(problem=("unreadable-image", f"unreadable image: {failed.strerror}."))
    digest = hashlib.sha256(data).hexdigest()
    row = known.row_of_content(digest, path.suffix) if known is not None else None
    if row is not None:
        return _from_row(row)
    try:
        image = decode_image(data, path.name)
    except InputError as refused:
        code = "unreadable-image" if not data or is_complete(data) else "truncated-image"
        return Seen(digest=digest, problem=(code, str(refused).removeprefix(f"{path.name}: ")))
    facts = image_facts(data, path.suffix)
    size = (int(image.shape[0]), int(image.shape[1]))
    return Seen(size, digest, None, facts.notes if facts else (), thumb(image))


def _as_row(view: Seen) -> Row:
    return Row(*view.size, view.digest, view.problem, view.notes, view.thumb.tobytes())


def _from_row(row: Row) -> Seen:
    side = int(len(row.thumb) ** 0.5)
    picture = np.frombuffer(row.thumb, np.uint8).reshape(side, side)
    return Seen((row.height, row.width), row.digest, row.problem, row.notes, picture)
