"""What each image file turned out to be: opened by the decoder that training uses, once, on a pool of threads."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from pipeline.data.parsing.gc_pause import gc_paused
from pipeline.data.scan.image_metadata import image_metadata
from pipeline.data.scan.near_duplicates import SIDE, Thumb, thumb
from pipeline.data.scan.scan_cache import Row, ScanCache, stamp
from yolox_core.data.decoding.conversion import Loss, ValueRange
from yolox_core.data.decoding.image_losses import image_losses
from yolox_core.data.image_header import is_complete
from yolox_core.data.image_io import READERS, decode_image
from yolox_core.data.pixel_budget import PixelBudget, most_pixels, pixels_of
from yolox_core.data.records import DatasetRecords
from yolox_core.data.regular_file import read_regular
from yolox_core.errors import InputError

AT_ONCE = 512  # files asked for their times together
QUICK_S = 1e-4  # a file; a file system that takes longer (a network's) is asked by many threads, which slow down others


class Progress(Protocol):
    """What is told while images are gone through."""

    def step(self) -> None:
        """One image more was looked at."""

    def skip(self, images: int) -> None:
        """So many more need no look."""


@dataclass(frozen=True)
class ImageScan:
    """What one image file turned out to be."""

    size: tuple[int, int] = (0, 0)  # (height, width) px
    digest: str = ""  # sha256 of the file
    problem: tuple[str, str] | None = None  # (code, what) where it cannot be used
    notes: tuple[tuple[str, str], ...] = ()  # (code, what) of the file, which is used
    thumb: Thumb = field(default_factory=lambda: np.zeros((0, 0), np.uint8))


@gc_paused()
def scan_images(
    records: DatasetRecords, cache: ScanCache | None = None, progress: Progress | None = None
) -> list[ImageScan]:
    """What every image is, in the records' order. What `cache` holds is not looked at again."""
    root = os.fspath(records.image_root)
    paths = [os.path.join(root, record.file_name) for record in records.images]
    seen: dict[int, ImageScan] = {}
    budget = PixelBudget(most_pixels())
    with ThreadPoolExecutor(READERS) as pool:
        stamps = _stamps(paths, pool)
        for at, (path, now) in enumerate(zip(paths, stamps, strict=True)):
            row = cache.row(path, now) if cache is not None and now is not None else None
            if row is not None:
                seen[at] = _from_row(row)
        if progress is not None:
            progress.skip(len(seen))
        left = [at for at in range(len(paths)) if at not in seen]
        look = partial(_scan, cache=cache, budget=budget, value_range=records.value_range)
        looks = pool.map(lambda at: look(paths[at], stamps[at]), left)
        for at, view in zip(left, looks, strict=True):
            now = stamps[at]
            # what was not to be opened may be next time, with more memory
            if cache is not None and now is not None and view.problem is None:
                cache.remember(paths[at], now, _as_row(view))
            seen[at] = view
            if progress is not None:
                progress.step()
    return [seen[at] for at in range(len(paths))]


def digests(seen: Sequence[ImageScan], records: DatasetRecords) -> dict[str, str]:
    """sha256 of each image's file, by name; without those that could not be read."""
    return {record.file_name: view.digest for record, view in zip(records.images, seen, strict=True) if view.digest}


def _stamps(paths: Sequence[str], pool: ThreadPoolExecutor) -> list[str | None]:
    """What `stamp` says of each; on the pool where the first few took long."""
    began = time.monotonic()
    first, *blocks = [paths[start : start + AT_ONCE] for start in range(0, max(len(paths), 1), AT_ONCE)]
    stamps = [stamp(path) for path in first]
    through = pool.map if time.monotonic() - began > QUICK_S * len(first) else map
    return stamps + [one for block in through(lambda block: [stamp(path) for path in block], blocks) for one in block]


def _scan(
    path: str, now: str | None, cache: ScanCache | None, budget: PixelBudget, value_range: ValueRange | None
) -> ImageScan:
    if now is None:
        return ImageScan(problem=("missing-image", "expected an image file, got none"))
    name, suffix = os.path.basename(path), os.path.splitext(path)[1]
    try:
        data = read_regular(path)
    except OSError as failed:
        return ImageScan(problem=("unreadable-image", f"unreadable image: {failed.strerror}."))
    digest = hashlib.sha256(data).hexdigest()
    row = cache.row_of_content(digest, suffix) if cache is not None else None
    if row is not None:
        return _from_row(row)
    with budget.held(pixels_of(data)):
        return _decoded(data, digest, name, suffix, value_range)


def _decoded(data: bytes, digest: str, name: str, suffix: str, value_range: ValueRange | None) -> ImageScan:
    try:
        lost: list[Loss] = []
        image = decode_image(data, name, value_range, lost)
    except InputError as refused:
        code = "unreadable-image" if not data or is_complete(data) else "truncated-image"
        return ImageScan(digest=digest, problem=(code, str(refused).removeprefix(f"{name}: ")))
    facts = image_metadata(data, suffix)
    size = (int(image.shape[0]), int(image.shape[1]))
    notes = (*(facts.notes if facts else ()), *((one.code, one.what) for one in (*lost, *image_losses(data))))
    return ImageScan(size, digest, None, notes, thumb(image))


def _as_row(view: ImageScan) -> Row:
    return Row(*view.size, view.digest, view.notes, view.thumb.tobytes())


def _from_row(row: Row) -> ImageScan:
    picture = np.frombuffer(row.thumb, np.uint8).reshape(SIDE, SIDE)
    return ImageScan((row.height, row.width), row.digest, None, row.notes, picture)
