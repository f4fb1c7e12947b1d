"""Images looked at for a person who waits: with progress, and with what was seen of them before.

What was seen is kept in one file of the user's cache folder, for all projects and for `yolox doctor` anywhere.
"""

import os
import sqlite3
import sys
from contextlib import nullcontext
from pathlib import Path

from pipeline.console.progress_bar import ImageCount
from pipeline.data.checks.duplicate_findings import alike
from pipeline.data.scan.duplicate_cache import Pair
from pipeline.data.scan.image_scan import ImageScan, scan_images
from pipeline.data.scan.scan_cache import ScanCache
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import reason

VARIABLE = "YOLOX_SEEN"  # of the environment: the file where what was seen is kept
DEFAULT_FILE = "~/.cache/yolox-pipeline/seen.sqlite"


def scan_with_cache(records: DatasetRecords) -> tuple[list[ImageScan], list[Pair]]:
    """What every image of the records is, and which are alike; only what is new or changed is decoded and compared."""
    path = Path(os.environ.get(VARIABLE) or DEFAULT_FILE)
    cache = _open_cache(path, records.value_range)
    with cache or nullcontext():
        with ImageCount(len(records.images)) as progress:
            seen = scan_images(records, cache, progress)
        found = alike(records.images, seen, cache)
    if cache is not None and cache.failed is not None:
        _say_why_not(path, cache.failed)
    return seen, found


def _open_cache(path: Path, value_range: tuple[float, float] | None) -> ScanCache | None:
    try:
        return ScanCache(path.expanduser(), value_range)
    except (OSError, sqlite3.Error, RuntimeError) as failed:  # no home, a folder that is read-only, a damaged file
        _say_why_not(path, reason(failed))
        return None


def _say_why_not(path: Path, why: str) -> None:
    print(
        f"note: {path}: expected to keep image scan results here, got: {why}. Name another file by {VARIABLE}, "
        "or delete this one if nothing else uses it; until then images are opened each time.",
        file=sys.stderr,
    )
