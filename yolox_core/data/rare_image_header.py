"""Size and completeness of the rarer kinds of image files: GIF, PPM and its kin, JPEG 2000, AVIF.

GIF: its specification 89a; PPM: netpbm.sourceforge.net/doc/ppm.html; JPEG 2000: ITU T.800 annex A; AVIF: ISO 14496-12.
PAM as OpenCV writes it, and Sun rasters: sizes alone.
AVIF says its size in several places, some of a tile or before a turn, so it is decoded where its size is asked for.
"""

import re
import struct
from collections.abc import Iterator

GIF = (b"GIF87a", b"GIF89a")
GIF_IMAGE, GIF_EXTENSION = 0x2C, 0x21
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})")
_PAM = re.compile(rb"P7\n(?:#[^\n]*\n)*WIDTH (\d{1,9})\nHEIGHT (\d{1,9})\n")
_RASTER = b"\x59\xa6\x6a\x95"
_MOST_COMPONENTS = 4  # of a JPEG 2000: a decoder holds each of them, and no picture has more
_PNM_DEPTH = re.compile(_GAP + rb"(\d{1,5})")
_CHANNELS = {b"4": 1, b"5": 1, b"6": 3}
SOC_SIZ = b"\xff\x4f\xff\x51"  # what every codestream begins with
_EOC = b"\xff\xd9"
_ISPE = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)  # ISO 23008-12, 6.5.3
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"


def rare_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) px that the header of a GIF, a PPM, a Sun raster or a JPEG 2000 says; None for anything else."""
    if data.startswith(GIF) and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return height, width
    pnm = _PNM.match(data)
    if pnm:
        return int(pnm[3]), int(pnm[2])
    if data.startswith(_RASTER) and len(data) >= 12:
        width, height = struct.unpack_from(">II", data, 4)
        return height, width
    pam = _PAM.match(data)
    if pam:
        return int(pam[2]), int(pam[1])
    at = data.find(SOC_SIZ) if data.startswith((JP2, SOC_SIZ)) else -1
    if at >= 0 and len(data) >= at + 42 and int.from_bytes(data[at + 40 : at + 42], "big") <= _MOST_COMPONENTS:
        right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
        return max(bottom - top, 0), max(right - left, 0)
    return None


def avif_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) px of the largest image in an AVIF, tiles and alpha included; None for anything else."""
    if data[4:8] != b"ftyp":
        return None
    end = data.find(b"mdat")
    found = _ISPE.finditer(data, 0, end if end > 0 else len(data))
    return max(
        (struct.unpack(">II", size[1])[::-1] for size in found), key=lambda size: size[0] * size[1], default=None
    )


def rare_is_complete(data: bytes) -> bool:
    """Whether a GIF, PPM, JPEG 2000 or AVIF reaches its own end; True for anything else."""
    if data.startswith(GIF):
        return _gif_ends(data)
    if data.startswith((JP2, SOC_SIZ)):
        return _EOC in data[max(data.find(SOC_SIZ), 0) :]  # no two bytes of a packet are above FF8F
    if data[4:8] == b"ftyp":
        return _boxes_end(data)
    return _pnm_ends(data)


def gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, where it begins) of a GIF's blocks, as far as they are there; the last is the trailer, or no known one."""
    at = 13 + _color_table(data[10]) if len(data) >= 13 else len(data)
    while at < len(data):
        kind = data[at]
        if kind == GIF_IMAGE and at + 10 > len(data):
            return
        yield kind, at
        if kind not in (GIF_IMAGE, GIF_EXTENSION):
            return
        at += 11 + _color_table(data[at + 9]) if kind == GIF_IMAGE else 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1


def _gif_ends(data: bytes) -> bool:
    """Whether all blocks are there; True for a damaged one, too, which is for the decoder to say."""
    return any(kind not in (GIF_IMAGE, GIF_EXTENSION) for kind, _ in gif_blocks(data))


def pnm_largest(data: bytes) -> int | None:
    """The sample that is white in a PNM; None where the decoder goes by it (in words, of eight bits), or for others."""
    pnm = _PNM.match(data)
    depth = _PNM_DEPTH.match(data, pnm.end()) if pnm and pnm[1] in b"2356" else None
    largest = int(depth[1]) if depth else 0
    in_words = pnm is not None and pnm[1] in b"23"
    return largest if 0 < largest <= 65535 and not (in_words and largest <= 255) else None


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
