"""Names of files that come from elsewhere, before anything is written under them."""

import re
import unicodedata

from pipeline.data.parsing.text import is_utf8
from yolox_core.errors import InputError, on_one_line

LONGEST_PART = 255  # bytes, of a folder's or file's name on common file systems
DRIVE = re.compile("[A-Za-z]:")


def inner_name(name: str, where: str) -> str:
    """`name` relative to the folder it is unpacked in, with forward slashes; InputError where it could lead out.

    Accents are written in one way (NFC), so that two spellings of one name are seen to be the same.
    """
    if not is_utf8(name):
        raise InputError(f"{where}: expected names in UTF-8, got {on_one_line(name)}. Rename that file and pack again.")
    slashed = name.replace("\\", "/")  # as some programs of Windows write them
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    if slashed.startswith("/") or ".." in parts or "\0" in name or not parts or DRIVE.match(slashed):
        raise InputError(
            f"{where}: expected names inside the folder, got {name[:200]!r}. Pack it again without absolute names "
            "and without '..'."
        )
    if max(len(part.encode()) for part in parts) > LONGEST_PART:
        raise InputError(f"{where}: expected names of at most {LONGEST_PART} bytes, got {name[:80]!r}... Shorten it.")
    return unicodedata.normalize("NFC", "/".join(parts))
