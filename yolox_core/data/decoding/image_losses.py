"""What an encoded image has besides the picture that is read: further pages or frames, and transparency.

Read from its header, without decoding. PNG: ISO 15948 and the APNG specification; WebP: RFC 9649; GIF 89a; TIFF 6.0;
AVIF: ISO 23008-12 and 14496-12; JPEG 2000: ITU T.800 annex A; BMP: BITMAPV4HEADER.
"""

import struct
from collections.abc import Iterator

from yolox_core.data.decoding.conversion import Loss
from yolox_core.data.decoding.sample_depth import PNG
from yolox_core.data.decoding.tiff_header import EXTRA, SAMPLES, tiff_directories
from yolox_core.data.rare_image_header import GIF, GIF_EXTENSION, GIF_IMAGE, JP2, SOC_SIZ, gif_blocks

_GRAPHIC_CONTROL = 0xF9
_TRANSPARENT = 0x01  # flag of a graphic control extension
_WEBP_ALPHA = 0x10  # flag of VP8X
_PNG_ALPHA = 4  # flag of the color type
_ALPHA_OF_AVIF = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_ALPHA = Loss("image-alpha", "a channel of transparency, which is dropped")


def image_losses(data: bytes) -> list[Loss]:
    """What is left out when the image is read, as far as its header says."""
    pages, is_transparent, word = _pages_and_alpha(data)
    more = [Loss("image-animated", f"{pages} {word}, the first is used")] if pages > 1 else []
    return more + ([_ALPHA] if is_transparent else [])


def _pages_and_alpha(data: bytes) -> tuple[int, bool, str]:
    """How many pages or frames, whether one is transparent, and what several are called."""
    if data.startswith(PNG):
        return *_of_png(data), "frames"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return *_of_webp(data), "frames"
    if data.startswith(GIF):
        return *_of_gif(data), "frames"
    if data.startswith((b"II", b"MM")):
        return *_of_tiff(data), "pages"
    if data[4:8] == b"ftyp":
        return *_of_avif(data), "frames"
    if data.startswith((JP2, SOC_SIZ)):
        at = max(data.find(SOC_SIZ), 0) + 40
        return 1, int.from_bytes(data[at : at + 2], "big") in (2, 4), "frames"
    if data[:2] == b"BM" and len(data) >= 70:
        header, bits = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<H", data, 28)[0]
        return 1, header >= 56 and bits == 32 and any(data[66:70]), "frames"
    return 1, False, "frames"


def _of_png(data: bytes) -> tuple[int, bool]:
    """The chunks before the pixels say both."""
    frames, is_transparent = 1, bool(data[25:26] and data[25] & _PNG_ALPHA)
    at = 8
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"acTL":
            frames = int.from_bytes(data[at + 8 : at + 12], "big")
        is_transparent |= kind == b"tRNS"
        at += 12 + size
    return frames, is_transparent


def _of_webp(data: bytes) -> tuple[int, bool]:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) > 20:
        return max(sum(name == b"ANMF" for name in _riff_chunks(data)), 1), bool(data[20] & _WEBP_ALPHA)
    return 1, kind == b"VP8L" and len(data) > 24 and bool(data[24] & 0x10)


def _riff_chunks(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        yield data[at : at + 4]
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at += at % 2


def _of_gif(data: bytes) -> tuple[int, bool]:
    """The transparency is that of the first frame."""
    frames, is_transparent = 0, False
    for kind, at in gif_blocks(data):
        frames += kind == GIF_IMAGE
        if kind == GIF_EXTENSION and not frames and data[at + 1 : at + 2] == bytes([_GRAPHIC_CONTROL]):
            is_transparent = bool(data[at + 3 : at + 4] and data[at + 3] & _TRANSPARENT)
    return max(frames, 1), is_transparent


def _of_tiff(data: bytes) -> tuple[int, bool]:
    """Smaller copies of a page and masks of its transparency are no pages."""
    directories = tiff_directories(data)
    if not directories:
        return 1, False
    first = directories[0]
    is_transparent = int(first.first(EXTRA, 0)) in (1, 2) or int(first.first(SAMPLES, 1)) == 2
    return 1 + sum(directory.is_page for directory in directories[1:]), is_transparent


def _of_avif(data: bytes) -> tuple[int, bool]:
    """A sequence's frames are the samples of its first track (`stsz`)."""
    at = data.find(b"stsz") if b"avis" in data[8:64] else -1
    frames = int.from_bytes(data[at + 12 : at + 16], "big") if at > 0 else 1
    return max(frames, 1), any(name in data for name in _ALPHA_OF_AVIF)
