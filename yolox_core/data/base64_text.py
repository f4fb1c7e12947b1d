"""Base64 as tools write it: in lines, after `data:image/png;base64,`, with - and _ for + and /, padded or not.

RFC 4648 sections 4 and 5, RFC 2045 section 6.8 (lines), RFC 2397 (data: addresses).
"""

import base64
import re
from urllib.parse import unquote

from yolox_core.errors import InputError

_DATA = re.compile(r"\s*data:(?P<about>[^,]{0,200}),", re.IGNORECASE)
_BLANKS = b" \t\r\n\v\f"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_OF_PLACES = frozenset(".:\\")  # in paths and addresses, and in no alphabet of base64
_LONGEST_PLACE = 4096  # characters


def decode_base64(text: str, where: str) -> bytes:
    """The bytes of a file that `text` holds; InputError where it is no base64, with a hint where it is a path."""
    data = _DATA.match(text)
    if data is not None:
        if not data["about"].lower().rstrip().endswith(";base64"):
            raise InputError(f"{where}: expected base64 after data:, got '{data['about'][:40]},'. Encode it as base64.")
        text = unquote(text[data.end() :])
    try:
        packed = text.encode("ascii").translate(_STANDARD, _BLANKS).rstrip(b"=")
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except ValueError as broken:
        reason = "other characters" if isinstance(broken, UnicodeError) else f"{broken}"
        if _is_like_a_place(text):
            raise InputError(
                f"{where}: expected a file's content as base64, got what looks like a path or an address: "
                f"{text.strip()[:80]!r}. Read the file and send its bytes."
            ) from broken
        raise InputError(f"{where}: not base64 ({reason}). Encode the file's bytes as base64.") from broken


def _is_like_a_place(text: str) -> bool:
    return len(text) <= _LONGEST_PLACE and not _OF_PLACES.isdisjoint(text)
