"""A COCO document: read at once where it is small, entry by entry where it is large and not our own.

COCO's own training file has 448 MB, which Python would hold as 4 GB; here only what is used of it is kept.
"""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.coco.columns import Columns, read_own
from pipeline.data.parsing.encodings import decoded, marked
from yolox_core.errors import InputError

KEYS = ("images", "annotations", "categories")
WHOLE_BYTES = 32 * 2**20  # a file up to here is read at once
BUFFER_BYTES = 2**20
_OF_AN_IMAGE = ("id", "file_name", "coco_url", "height", "width", "split", "annotation")


@dataclass(frozen=True)
class Document:
    """The three lists; of the entries nothing is checked yet."""

    images: Sequence[Any]
    categories: Sequence[Any]
    annotations: Callable[[], Iterable[Any]]  # from the first again with each call
    columns: Columns | None = None  # all annotations, where nothing is odd about their form


def open_document(path: Path, encoding: str | None = None) -> Document | None:
    """The document at `path`; None where its JSON is of another shape. OSError or ValueError where it is no JSON.

    `encoding` is that of a file that is not UTF-8 and does not say what it is.
    """
    if path.stat().st_size <= WHOLE_BYTES:
        return document_of(json.loads(decoded(path.read_bytes(), encoding)))
    own = read_own(path)
    if own is not None:
        return Document(own[0], own[2], lambda: _annotations(path), own[1])
    images, categories = _list(path, "images"), _list(path, "categories")
    if images is None or categories is None:  # a large file of something else
        return None
    return Document([_reduced(entry) for entry in images], categories, lambda: _annotations(path))


def document_of(content: object) -> Document | None:
    """The document that a JSON value is; None where it is none."""
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        return None
    images, annotations, categories = (content[key] for key in KEYS)
    listed = list(_boxes(annotations))
    return Document(images, categories, lambda: listed)


def _reduced(entry: Any) -> Any:
    return {key: entry[key] for key in _OF_AN_IMAGE if key in entry} if isinstance(entry, dict) else entry


def _annotations(path: Path) -> Iterator[Any]:
    """One after the other; InputError where there is no list of them, which is looked for only where none came."""
    none = True
    for entry in _stream(path, "annotations.item"):
        none = False
        yield from _boxes([entry])
    if none and _list(path, "annotations") is None:
        raise InputError(f"{path}: expected COCO JSON with lists {', '.join(KEYS)}, got no list of annotations.")


def _boxes(annotations: Iterable[Any]) -> Iterator[Any]:
    """The annotations, each of a panoptic file as those of its segments."""
    for entry in annotations:
        segments = entry.get("segments_info") if isinstance(entry, dict) else None
        if not isinstance(segments, list):
            yield entry
            continue
        for segment in segments:
            yield {**segment, "image_id": entry.get("image_id")} if isinstance(segment, dict) else segment


def _list(path: Path, key: str) -> list[Any] | None:
    """One of the lists as a whole; the file is read no further."""
    found = next(_stream(path, key), None)
    return found if isinstance(found, list) else None


def _stream(path: Path, prefix: str) -> Iterator[Any]:
    """What stands at `prefix`, one after the other. Strict JSON: what Python writes as NaN is refused here."""
    import ijson  # here, so that training, which reads small files, does without it

    with path.open("rb") as file:
        encoding = marked(file.read(4))
        file.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        text = file if encoding in (None, "utf-8-sig") else codecs.EncodedFile(file, "utf-8", encoding)
        try:
            yield from ijson.items(text, prefix, use_float=True, buf_size=BUFFER_BYTES)
        except (ijson.JSONError, UnicodeError) as broken:
            raise InputError(f"{path}: expected COCO JSON, got {' '.join(str(broken).split())[:200]}.") from broken
