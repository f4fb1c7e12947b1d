"""Text and values from outside: whether UTF-8 can hold them, which occurs twice, and how a message shows values."""

import reprlib
import unicodedata
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 8, 6  # values, and levels within values
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80  # characters


def is_utf8(text: str) -> bool:
    """Whether `text` can be written; a file name of other bytes, or a JSON escape, may bring half a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def folded(name: str) -> str:
    """A file's name as names are compared: in small letters, and with accents as one sign each.

    macOS writes an accent as a sign of its own.
    """
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def shown(value: object) -> str:
    """A value of some document for a message: as Python writes it, cut short however long or deeply nested it is."""
    return _SHORT.repr(value)


def first_double(values: Iterable[str]) -> str | None:
    """The first value that occurs a second time."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
