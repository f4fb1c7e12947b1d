"""What an image file says about itself without being decoded: its size, and whether it ends where it should.

OpenCV fills the missing part of a truncated JPEG with grey and reports success, so completeness is checked here.
JPEG: ITU T.81 annex B; EXIF orientation: TIFF tag 0x0112 in the APP1 segment; PNG: RFC 2083; WebP: RFC 9649; BMP: its
BITMAPCOREHEADER and BITMAPINFOHEADER.
"""

import re
import struct
from collections.abc import Iterator

from yolox_core.data.decoding.tiff_header import HEIGHT, ORIENTATION, WIDTH, tiff_directories
from yolox_core.data.rare_image_header import avif_size, rare_is_complete, rare_size

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_SOS = 0xDA
_FILL = re.compile(rb"\xff+")  # of any number before a marker
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers that no length follows
_MOST_SEGMENTS = 2_000  # a file with more before its first scan was made to keep a reader busy
_APP1 = 0xE1
# every start-of-frame marker; C4, C8 and CC lie in the range but are tables
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TRANSPOSING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap height and width


def upright_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) px of the image as it is read, from the header alone; None where only the decoder knows."""
    # a PNG may say that it is to be turned, and so may WebP and AVIF
    if data.startswith(_SOI) or (data.startswith(_PNG) and b"eXIf" not in data):
        return declared_size(data)
    return _tiff_size(data) or rare_size(data)


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) px, mostly without orientation, that an image says it has; None where it is of no known kind.

    Reads the header alone: an image of any size costs nothing before somebody has looked at this.
    """
    if data.startswith(_SOI):
        return _jpeg_size(data)
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    if data[:2] == b"BM" and len(data) >= 26:
        form = "<HH" if struct.unpack("<I", data[14:18])[0] == 12 else "<ii"
        width, height = struct.unpack_from(form, data, 18)
        return abs(height), abs(width)  # a negative height says that the rows go downwards
    return _tiff_size(data) or rare_size(data) or avif_size(data)


def is_complete(data: bytes) -> bool:
    """Whether a file of a known format reaches its own end marker; True for formats not known here (TIFF, BMP)."""
    if data.startswith(_SOI):
        scan = _jpeg_scan(data)
        return data.endswith(_EOI, scan) or data.find(_EOI, scan) != -1
    if data.startswith(_PNG):
        return b"IEND" in data[-64 * 1024 :]  # some writers append a little text
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) >= 8 + int(struct.unpack("<I", data[4:8])[0])
    return rare_is_complete(data)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end of payload) of a JPEG's segments, up to and including the first scan's header.

    Ends at whatever decoders could take for something else than is read here, so that a header means one thing.
    """
    at = 2
    for _ in range(_MOST_SEGMENTS):
        fill = _FILL.match(data, at)
        if fill is None or fill.end() + 3 > len(data):
            return
        at = fill.end()  # of the marker's second byte
        marker = data[at]
        if marker in _ALONE:
            at += 1
            continue
        length = int(struct.unpack_from(">H", data, at + 1)[0])
        if marker == 0 or length < 2:
            return
        yield marker, at + 3, at + 1 + length
        if marker == _SOS:
            return
        at += 1 + length


def _jpeg_scan(data: bytes) -> int:
    """Where the first scan begins: an end marker before it belongs to an embedded thumbnail."""
    return next((end for marker, _, end in _segments(data) if marker == _SOS), len(data))


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    orientation = 1
    for marker, start, end in _segments(data):
        if marker == _APP1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data[start + 6 : end])
        if marker in _FRAMES and start + 5 <= len(data):
            height, width = struct.unpack(">HH", data[start + 1 : start + 5])
            return (width, height) if orientation in _TRANSPOSING else (height, width)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Of the first chunk: lossy, lossless, or extended, which says how large the canvas is."""
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return height & 0x3FFF, width & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    return None


def _exif_orientation(tiff: bytes) -> int:
    """The orientation tag of the first directory; 1 (upright) where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 1
    at = int(struct.unpack(order + "I", tiff[4:8])[0])
    if at + 2 > len(tiff):
        return 1
    (count,) = struct.unpack(order + "H", tiff[at : at + 2])
    for entry in range(at + 2, min(at + 2 + 12 * count, len(tiff) - 11), 12):
        tag, _, _, value = struct.unpack(order + "HHIH", tiff[entry : entry + 10])
        if tag == 0x0112:
            return int(value)
    return 1


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    directories = tiff_directories(data)
    if not directories:
        return None
    height, width = (int(directories[0].first(tag, 0)) for tag in (HEIGHT, WIDTH))
    return (width, height) if directories[0].first(ORIENTATION, 1) in _TRANSPOSING else (height, width)
