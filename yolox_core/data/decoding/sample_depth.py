"""How the samples of an encoded image are to be read: how many bits, over which range, and turned how.

The range that a file states: PNG's sBIT (ISO 15948, 11.3.3.4), TIFF's BitsPerSample, SMinSampleValue and
SMaxSampleValue (TIFF 6.0, section 19), the largest value of a PNM. MinSampleValue and MaxSampleValue of TIFF are
statistics of one picture and state nothing. AVIF and JPEG 2000 state their depth, and the decoder goes by it.
"""

import struct
from dataclasses import dataclass

from yolox_core.data.decoding.conversion import ValueRange
from yolox_core.data.decoding.tiff_header import (
    BITS,
    EXTRA,
    FORMAT,
    HIGHEST,
    LOWEST,
    PHOTOMETRIC,
    Directory,
    tiff_directories,
)
from yolox_core.data.rare_image_header import JP2, SOC_SIZ, pnm_largest

PNG = b"\x89PNG\r\n\x1a\n"
_FLOATS = (b"PF\n", b"Pf\n", b"#?RADIANCE", b"#?RGBE")  # PFM, Radiance
_GRAY_OR_RGB = (0, 1, 2)  # PhotometricInterpretation
_MIN_IS_WHITE = 0
_UNSIGNED = 1  # SampleFormat
_PACKED = (10, 12, 14)  # bits that OpenCV moves to the top of sixteen
_UNASSOCIATED = 2  # ExtraSamples: alpha, colors not multiplied by it
_SAMPLE_TYPES = {(16, 1), (16, 2)}  # (bits, SampleFormat) that OpenCV reads as color at their own depth


@dataclass(frozen=True)
class SampleDepth:
    """Of an encoded image; the default is eight bits, read as they are."""

    is_deep: bool = False  # to be decoded at its own depth
    is_color: bool = True  # OpenCV makes three channels of it at its own depth
    shift: int = 0  # bits by which the decoder has moved the samples up
    stated: ValueRange | None = None
    is_inverted: bool = False  # the lowest value is white
    is_spread_above: float | None = None  # a larger sample says that `stated` was spread over all bits


def sample_depth(data: bytes, asked: bool = False) -> SampleDepth:
    """What an image's header says; `asked`: a range of the data set is to be applied to what has more than 8 bits."""
    if data.startswith(PNG):
        return _of_png(data)
    if data.startswith((b"II", b"MM")):
        directories = tiff_directories(data)
        return _of_tiff(directories[0]) if directories else SampleDepth()
    if data.startswith(_FLOATS):
        return SampleDepth(is_deep=True, is_color=False)
    if data.startswith((JP2, SOC_SIZ)):
        return _of_jpeg_2000(data) if asked else SampleDepth()
    largest = pnm_largest(data)
    if largest is None or largest == 255:
        return SampleDepth()
    return SampleDepth(is_deep=largest > 255, stated=None if largest == 65535 else (0, largest))


def is_decoded_in_words(data: bytes) -> bool:
    """Whether the decoder holds more bits a sample than it gives, as those of JPEG 2000 and AVIF do."""
    return data.startswith((JP2, SOC_SIZ)) or data[4:8] == b"ftyp"


def without_premultiplying(data: bytes) -> bytes:
    """A TIFF of which the decoder leaves the colors alone: libtiff multiplies them by an alpha that is unassociated."""
    directories = tiff_directories(data) if data.startswith((b"II", b"MM")) else []
    if not directories or directories[0].first(EXTRA, 0) != _UNASSOCIATED:
        return data
    changed = bytearray(data)
    place, form = directories[0].places[EXTRA]
    struct.pack_into(form, changed, place, 1)
    return bytes(changed)


def _of_png(data: bytes) -> SampleDepth:
    """Samples of sixteen bits. By the standard they are spread over all of them whatever sBIT says, which then only
    tells how many levels there are; where none is larger than sBIT allows they were not spread."""
    if data[24:25] != b"\x10":
        return SampleDepth()
    at = data.find(b"sBIT", 33, max(data.find(b"IDAT"), 33))
    bits = max(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")], default=16) if at > 0 else 16
    if not 8 <= bits < 16:
        return SampleDepth(is_deep=True)
    largest = float((1 << bits) - 1)
    return SampleDepth(is_deep=True, stated=(0, largest), is_spread_above=largest)


def _of_tiff(page: Directory) -> SampleDepth:
    bits, kind = int(max(page.values.get(BITS, (1,)))), int(page.first(FORMAT, _UNSIGNED))
    photometric = int(page.first(PHOTOMETRIC, 1))
    if bits <= 8 or photometric not in _GRAY_OR_RGB:
        return SampleDepth()
    low, high = min(page.values.get(LOWEST, (0.0,))), max(page.values.get(HIGHEST, (0.0,)))
    stated = (float(low), float(high)) if HIGHEST in page.values and low < high else None
    shift = 16 - bits if bits in _PACKED else 0
    if shift and stated is None:
        stated = (0, (1 << bits) - 1)
    is_color = (bits <= 16 and (bits, kind) in _SAMPLE_TYPES) or bool(shift)
    return SampleDepth(True, is_color, shift, stated, photometric == _MIN_IS_WHITE)


def _of_jpeg_2000(data: bytes) -> SampleDepth:
    at = max(data.find(SOC_SIZ), 0) + 42  # Ssiz of the first component, ITU T.800 A.5.1
    bits = (data[at] & 0x7F) + 1 if len(data) > at else 8
    return SampleDepth(is_deep=bits > 8)
