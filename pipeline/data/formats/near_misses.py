"""Files that are nearly annotations, and what they lack: asked only of a folder in which nothing can be read."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import islice

from pipeline.data.coco.json_stream import KEYS, WHOLE_BYTES
from pipeline.data.formats.csv_columns import first_row, lacking
from pipeline.data.parsing.encodings import decoded
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.parsing.text import shown

_FILES = 20  # of each kind that are opened
_COLUMNS = 20  # that are named
_TAG = re.compile(r"<([A-Za-z_][\w.:-]*)")


def near_misses(listing: Listing) -> list[str]:
    """A sentence for each file that lacks something: `a.json: lacks categories`."""
    return [*_tables(listing), *_documents(listing), *_markup(listing)]


def _tables(listing: Listing) -> Iterator[str]:
    for name in islice(listing.ending(".csv", ".tsv"), _FILES):
        try:
            columns = first_row(listing, name)
        except (OSError, csv.Error):
            continue
        absent = lacking(columns)
        if columns and absent:
            more = " ..." if len(columns) > _COLUMNS else ""
            said = ", ".join(shown(column)[1:-1] for column in columns[:_COLUMNS]) + more
            yield f"{name}: no column for {' and '.join(absent)}; its columns are {said}"


def _documents(listing: Listing) -> Iterator[str]:
    for name in islice(listing.ending(".json"), _FILES):
        path = listing.root / name
        try:
            if path.stat().st_size > WHOLE_BYTES:
                continue
            document = json.loads(decoded(path.read_bytes(), listing.encoding))
        except (OSError, ValueError, RecursionError):  # named as such by COCO's reader
            continue
        if isinstance(document, dict) and document.keys() & set(KEYS):
            absent = [key for key in KEYS if not isinstance(document.get(key), list)]
            if absent:
                yield f"{name}: lacks {', '.join(absent)}"


def _markup(listing: Listing) -> Iterator[str]:
    for name in islice(listing.ending(".xml"), _FILES):
        try:
            head = listing.read_text(name)[:4096]
        except ValueError as broken:
            yield str(broken).removeprefix(f"{listing.shown()}/")
            continue
        tag = _TAG.search(head)
        yield f"{name}: expected <annotation> or <annotations>, got {f'<{tag[1]:.40}>' if tag else 'no XML'}"
