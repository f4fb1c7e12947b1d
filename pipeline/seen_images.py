"""Images looked at for a person who waits: with progress, and with what was seen of them before.

What was seen is kept in one file of the user's cache folder, for all projects and for `yolox doctor` anywhere.
"""

import os
import sqlite3
import sys
from contextlib import nullcontext
from pathlib import Path

from pipeline.counting import Counting
from yolox_core.datasets.known import KnownImages
from yolox_core.datasets.records import DatasetRecords
from yolox_core.datasets.seen import Seen, look

FILE = "YOLOX_SEEN"  # of the environment: where what was seen is kept
DEFAULT_FILE = "~/.cache/yolox-pipeline/seen.sqlite"


def look_at(records: DatasetRecords) -> list[Seen]:
    """What every image of the records is; only what is new or changed is opened."""
    known = _known()
    with known or nullcontext(), Counting(len(records.images)) as progress:
        seen = look(records, known, progress.step)
    if known is not None and known.failed is not None:
        _say_why_not(known.failed)
    return seen


def _known() -> KnownImages | None:
    try:
        return KnownImages(Path(os.environ.get(FILE) or DEFAULT_FILE).expanduser())
    except (OSError, sqlite3.Error, RuntimeError) as failed:  # no home, a folder that is read-only, a damaged file
        _say_why_not(str(failed))
        return None


def _say_why_not(reason: str) -> None:
    print(f"note: what was seen of the images is not kept ({reason}); next time all are opened again", file=sys.stderr)
