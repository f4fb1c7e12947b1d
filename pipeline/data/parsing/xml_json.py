"""Reading the annotation documents that others wrote: JSON and XML.

What cannot be read becomes a finding, whatever is in the file. XML that declares entities is refused before one of
them is expanded: no annotation needs them, and a few lines of them can fill any memory.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from pipeline.data.parsing.encodings import as_utf8, decoded, decoded_xml
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing

_SAID = 400  # characters of another's error
_LOOKED_AT = 16 * 1024  # bytes at either end


def read_json(
    listing: Listing, files: Iterable[str], findings: list[Finding], shape: str, fits: Callable[[Any], bool]
) -> Iterator[tuple[str, Any]]:
    """Each file with its JSON document; a finding of those that cannot be read, or are of another shape."""
    for name in files:
        try:
            document = json.loads(decoded((listing.root / name).read_bytes(), listing.encoding))
        except (OSError, ValueError, RecursionError) as broken:
            _unreadable(name, "JSON", broken, findings)
            continue
        if fits(document):
            yield name, document
        else:
            what = f"expected {shape}, got something else"
            findings.append(Finding("unreadable-annotation", name, what, "file left out"))


def read_xml(listing: Listing, name: str, findings: list[Finding]) -> ElementTree.Element | None:
    """The root of the XML document `name`; None, with a finding, where it cannot be read."""
    try:
        text = decoded_xml((listing.root / name).read_bytes(), listing.encoding)
        guard = expat.ParserCreate()
        guard.EntityDeclHandler = _refuse
        guard.Parse(text, True)
        return ElementTree.fromstring(text)
    except (OSError, ElementTree.ParseError, expat.ExpatError, ValueError) as broken:
        _unreadable(name, "XML", broken, findings)
        return None


def files_with(listing: Listing, suffix: str, pattern: re.Pattern[bytes], begin: bytes = b"") -> list[str]:
    """Files of the folder that begin so, and hold the pattern near their beginning or end.

    So a format is recognized without reading images that lie between them.
    """

    def fits(name: str) -> bool:
        text = _head_and_tail(listing, name)
        return text.lstrip().startswith(begin) and pattern.search(text) is not None

    return list(filter(fits, listing.ending(suffix)))


def _head_and_tail(listing: Listing, name: str) -> bytes:
    try:
        with (listing.root / name).open("rb") as file:
            head = file.read(_LOOKED_AT)
            file.seek(max(_LOOKED_AT, file.seek(0, os.SEEK_END) - _LOOKED_AT))
            return as_utf8(head + file.read(_LOOKED_AT))
    except OSError:
        return b""


def _refuse(*declaration: object) -> NoReturn:
    raise ValueError(f"it declares an entity, {declaration[0]!s:.40}")


def _unreadable(name: str, kind: str, broken: Exception, findings: list[Finding]) -> None:
    what = f"expected {kind}, got an unreadable file: {str(broken)[:_SAID]}"
    findings.append(Finding("unreadable-annotation", name, what, "file left out"))
