"""Text as others wrote it: UTF-8, UTF-16 or UTF-32 where its first bytes say so, or in an encoding that somebody names.

What is none of these is refused: a guess would change the names of classes without a word.
"""

import codecs
import re

from yolox_core.errors import InputError

_MARKS = (  # UTF-32's little-endian mark begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OFTEN = ("cp1252", "gb18030", "cp1251", "shift_jis", "euc_kr")  # of Windows, where they are the default
_FOREIGN_WORD = re.compile(rb"[^\s,;:\"'<>]*[\x80-\xff][^\s,;:\"'<>]*")
_DECLARED = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_DECLARED_WITHIN = 200  # bytes of an XML file


def check_encoding(name: str | None, where: str) -> None:
    """InputError where `name`, written at `where`, is no encoding of texts that Python knows."""
    if name is not None and not _is_known(name):
        often = ", ".join(_OFTEN)
        raise InputError(f"{where}: expected the name of a text encoding, got {name!r}. Often it is one of {often}.")


def marked(data: bytes) -> str | None:
    """The encoding that the first bytes of a file say; None where they say nothing."""
    if data[:2].isascii() and 0 not in data[:2]:  # as nearly all files begin
        return None
    by_mark = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if by_mark is None and len(data) > 3 and data[0] != data[1] and 0 in data[:2]:  # as XML's and JSON's rules tell it
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    return by_mark


def decoded(data: bytes, otherwise: str | None = None) -> str:
    """The text in `data`: as its mark says, in UTF-8, else in the encoding `otherwise`. ValueError: in none of them."""
    encoding = marked(data)
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as broken:
        if encoding is not None:
            raise ValueError(f"not {encoding.upper()}, as its first bytes say") from None
        if otherwise is None:
            raise ValueError(_not_utf8(data, broken)) from None
    try:
        return data.decode(otherwise)
    except UnicodeError as broken:
        raise ValueError(f"neither UTF-8 nor {otherwise}: {_reason(broken)}") from None


def decoded_xml(data: bytes, otherwise: str | None = None) -> str:
    """The text of an XML document: in the encoding that it declares, else as `decoded`."""
    declared = None if marked(data) else _DECLARED.search(data[:_DECLARED_WITHIN])
    name = declared[1].decode("ascii") if declared else ""
    if name.lower().replace("_", "-") in ("", "utf-8", "utf8"):
        return decoded(data, otherwise)
    if not _is_known(name):
        raise ValueError(f"it declares an unknown encoding, {name:.40}")
    try:
        return data.decode(name)
    except UnicodeError as broken:
        if otherwise is None:
            raise ValueError(f"not {name}, which it declares: {_reason(broken)}") from None
    return decoded(data, otherwise)


def with_foreign_bytes(data: bytes, otherwise: str | None = None) -> str:
    r"""As `decoded`, but that bytes which cannot be read stand as \xe4: for text whose meaning is plain ASCII."""
    try:
        return decoded(data, otherwise)
    except ValueError:
        return data.decode("utf-8", "backslashreplace")


def as_utf8(head: bytes) -> bytes:
    """The beginning of a file as UTF-8 without a mark, to be searched; the rest of a sign that was cut is left out."""
    encoding = marked(head)
    return head if encoding is None else head.decode(encoding, "ignore").encode("utf-8", "ignore")


def _not_utf8(data: bytes, broken: UnicodeDecodeError) -> str:
    """What to say of bytes in an unknown encoding: where they are, and how the usual encodings would read them."""
    word = next((found for found in _FOREIGN_WORD.finditer(data) if found.end() > broken.start), None)
    sample = word[0] if word else data[broken.start : broken.start + 8]
    readings = [f"{name} reads {text!r}" for name in _OFTEN if (text := _read(sample, name))]
    samples = f": {', '.join(readings)}" if readings else ""
    line = data.count(b"\n", 0, broken.start) + 1
    how = "Save it as UTF-8, or name its encoding (--encoding, or beside the path in data.source)"
    return f"not UTF-8 (line {line}). {how}{samples}"


def _read(sample: bytes, encoding: str) -> str | None:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if len(text) <= 40 and text.isprintable() else None


def _reason(broken: UnicodeError) -> str:
    return str(broken)[:120]


def _is_known(name: str) -> bool:
    try:
        b"a".decode(name)  # LookupError of zip, hex and the like, too, which are no encodings of texts
    except UnicodeDecodeError:  # a letter alone is no UTF-16
        return True
    except (LookupError, ValueError):
        return False
    return True
