"""Size and completeness of the rarer kinds of image files: GIF, PPM and its kin, JPEG 2000, AVIF.

GIF: its specification 89a; PPM: netpbm.sourceforge.net/doc/ppm.html; JPEG 2000: ITU T.800 annex A; AVIF: ISO 14496-12.
AVIF says its size in several places, some of a tile or before a turn, so it is decoded where its size is asked for.
"""

import re
import struct

_GIF = (b"GIF87a", b"GIF89a")
_SUBIMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})")
_PNM_DEPTH = re.compile(_GAP + rb"(\d{1,5})")
_CHANNELS = {b"4": 1, b"5": 1, b"6": 3}
_SOC_SIZ = b"\xff\x4f\xff\x51"  # what every codestream begins with
_EOC = b"\xff\xd9"
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"


def rare_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) px that the header of a GIF, a PPM or a JPEG 2000 says; None for anything else."""
    if data.startswith(_GIF) and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return height, width
    pnm = _PNM.match(data)
    if pnm:
        return int(pnm[3]), int(pnm[2])
    at = data.find(_SOC_SIZ) if data.startswith((_JP2, _SOC_SIZ)) else -1
    if at >= 0 and len(data) >= at + 24:
        right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
        return max(bottom - top, 0), max(right - left, 0)
    return None


def rare_is_complete(data: bytes) -> bool:
    """Whether a GIF, PPM, JPEG 2000 or AVIF reaches its own end; True for anything else."""
    if data.startswith(_GIF):
        return _gif_ends(data)
    if data.startswith((_JP2, _SOC_SIZ)):
        return _EOC in data[max(data.find(_SOC_SIZ), 0) :]  # no two bytes of a packet are above FF8F
    if data[4:8] == b"ftyp":
        return _boxes_end(data)
    return _pnm_ends(data)


def _gif_ends(data: bytes) -> bool:
    """Whether all blocks are there, up to the trailer."""
    if len(data) < 13:
        return False
    at = 13 + _color_table(data[10])
    while at < len(data):
        kind = data[at]
        if kind == _TRAILER:
            return True
        if kind == _SUBIMAGE:
            if at + 10 > len(data):
                return False
            at += 11 + _color_table(data[at + 9])
        elif kind == _EXTENSION:
            at += 2
        else:
            return True  # not cut, but damaged: for the decoder to say
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return False


def _color_table(flags: int) -> int:
    """Bytes of a color table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _boxes_end(data: bytes) -> bool:
    """Whether the last of the outermost boxes is whole."""
    at = 0
    while at + 8 <= len(data):
        size = int(struct.unpack_from(">I", data, at)[0])
        if size == 1 and at + 16 <= len(data):
            size = int(struct.unpack_from(">Q", data, at + 8)[0])
        if size == 0:  # up to the end
            return True
        at += max(size, 8)
    return at <= len(data)


def _pnm_ends(data: bytes) -> bool:
    """Whether a binary PPM, PGM or PBM has all its pixels; those in words are for the decoder to count."""
    pnm = _PNM.match(data)
    if pnm is None or pnm[1] not in b"456":
        return True
    width, height, at, bits = int(pnm[2]), int(pnm[3]), pnm.end(), 1
    if pnm[1] != b"4":
        depth = _PNM_DEPTH.match(data, at)
        if depth is None:
            return False
        at, bits = depth.end(), 16 if int(depth[1]) > 255 else 8
    return len(data) > at + height * ((width * _CHANNELS[pnm[1]] * bits + 7) // 8)
