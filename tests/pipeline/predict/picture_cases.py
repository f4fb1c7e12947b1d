"""One scene in every mode, depth, orientation and kind of file, with the pixels that a network is to get of it."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from yolox_core.structures import ImageArray

HEIGHT, WIDTH = 40, 64
THERMAL = (7000.0, 8020.0)
Pixels = npt.NDArray[Any]


def scene() -> ImageArray:
    """BGR [40, 64, 3]: soft shapes over the whole range, different in each channel and towards each side."""
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 5) + np.linspace(0, 40, WIDTH)[None, :, None] * [1, 0.5, -1]
    low, high = soft.min(axis=(0, 1)), soft.max(axis=(0, 1))
    return np.rint((soft - low) / (high - low) * 255).astype(np.uint8)


COLOR = scene()
GRAY = COLOR[..., 1]
GRAY3 = np.repeat(GRAY[..., None], 3, axis=2)
WIDE = GRAY.astype(np.uint16)


@dataclass(frozen=True)
class Case:
    """A file, and what is to come of it. `exact` pixels, or about those where the kind loses some."""

    suffix: str
    data: bytes
    pixels: ImageArray
    is_exact: bool = True
    value_range: tuple[float, float] | None = None  # of the data set
    pillow: str = "same"  # or "refused", or "same until read": what is made of it then is not what the file says


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def encoded(suffix: str, pixels: Pixels) -> bytes:
    whole = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == ".jp2" else []
    return cv2.imencode(suffix, pixels, whole)[1].tobytes()


def turned_back(pixels: Pixels, orientation: int) -> Pixels:
    """As a camera stores it that says this orientation (TIFF 6.0, tag 274)."""
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels[:, ::-1].swapaxes(0, 1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels[::-1].swapaxes(0, 1),
    }
    return np.ascontiguousarray(stored[orientation])


def with_sbit(png: bytes, bits: int, channels: int = 1) -> bytes:
    chunk = b"sBIT" + bytes([bits] * channels)
    return png[:33] + struct.pack(">I", channels) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def tiff(pixels: Pixels, bits: int | None = None, data: bytes | None = None, **tags: int) -> bytes:
    """An uncompressed TIFF of one gray page; `tags` by their numbers, `t274=6`."""
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes() if data is None else data
    entries = {256: width, 257: height, 258: bits or pixels.dtype.itemsize * 8, 259: 1, 262: 1, 277: 1, 278: height}
    entries |= {int(name[1:]): value for name, value in tags.items()} | {279: len(data)}
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    rows = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted((entries | {273: start}).items())]
    return struct.pack("<2sHIH", b"II", 42, 8, len(rows)) + b"".join(rows) + bytes(4) + data


def packed_12(pixels: Pixels) -> bytes:
    """Samples of 12 bits, two in three bytes."""
    first, second = pixels.reshape(-1, 2).T.astype(np.uint32)
    both = first << 12 | second
    return np.stack([both >> 16, both >> 8 & 255, both & 255], axis=1).astype(np.uint8).tobytes()


def _modes() -> Iterator[tuple[str, Case]]:
    image = Image.fromarray(COLOR[..., ::-1].copy())
    gray = Image.fromarray(GRAY)
    few = image.quantize(16)
    index, palette = np.asarray(few), np.array(few.getpalette(), np.uint8).reshape(-1, 3)
    flat = np.ascontiguousarray(palette[index][..., ::-1])
    veiled = image.copy()
    veiled.putalpha(Image.fromarray(np.ascontiguousarray(GRAY[::-1])))
    gray_veiled = Image.merge("LA", (gray, Image.fromarray(np.ascontiguousarray(GRAY[::-1]))))
    black_white = np.where(np.asarray(gray.convert("1"))[..., None], 255, np.zeros(3)).astype(np.uint8)
    lossless: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}}
    for kind, options in lossless.items():
        suffix = f".{kind.lower()}"
        yield f"{kind} RGB", Case(suffix, saved(image, kind, **options), COLOR)
        yield f"{kind} RGBA", Case(suffix, saved(veiled, kind, **options), COLOR)
        yield f"{kind} L", Case(suffix, saved(gray, kind, **options), GRAY3)
        if kind != "WEBP":
            yield f"{kind} 1", Case(suffix, saved(gray.convert("1"), kind), black_white)
            yield f"{kind} LA", Case(suffix, saved(gray_veiled, kind), GRAY3)
            yield f"{kind} P", Case(suffix, saved(few, kind), flat)
    yield "PNG P transparent", Case(".png", saved(few, "PNG", transparency=3), flat)
    yield "PNG RGB transparent", Case(".png", saved(image, "PNG", transparency=(1, 2, 3)), COLOR)
    yield "GIF", Case(".gif", saved(few, "GIF"), flat)
    over = np.where((index == 3)[..., None], palette[0][::-1], flat)
    yield "GIF transparent", Case(".gif", saved(few, "GIF", transparency=3, background=0, optimize=False), over)
    yield "BMP", Case(".bmp", saved(image, "BMP"), COLOR)
    yield "PPM", Case(".ppm", saved(image, "PPM"), COLOR)
    yield "PAM", Case(".pam", encoded(".pam", COLOR), COLOR, pillow="unknown")
    yield "Sun raster", Case(".ras", encoded(".ras", COLOR), COLOR, pillow="unknown")
    yield "JPEG 2000", Case(".jp2", saved(image, "JPEG2000"), COLOR)
    yield "JPEG 2000 stream", Case(".j2k", saved(image, "JPEG2000", no_jp2=True), COLOR)
    yield "JPEG", Case(".jfi", saved(image, "JPEG", quality=95), COLOR, is_exact=False)
    yield "JPEG L", Case(".jpg", saved(gray, "JPEG", quality=95), GRAY3, is_exact=False)
    yield "JPEG CMYK", Case(".jpg", saved(image.convert("CMYK"), "JPEG", quality=95), COLOR, is_exact=False)
    yield "TIFF CMYK", Case(".tif", saved(image.convert("CMYK"), "TIFF"), COLOR, is_exact=False)
    yield "TIFF YCbCr", Case(".tif", saved(image.convert("YCbCr"), "TIFF"), COLOR, False, pillow="refused")
    yield "AVIF", Case(".avif", saved(image, "AVIF", quality=95), COLOR, is_exact=False)


def _depths() -> Iterator[tuple[str, Case]]:
    full, thermal = encoded(".png", WIDE * 257), 7000 + WIDE * 4
    deep = COLOR.astype(np.uint16) * 257
    yield "PNG 16", Case(".png", full, GRAY3)
    yield "TIFF 16", Case(".tif", encoded(".tif", WIDE * 257), GRAY3)
    yield "TIFF 16, white is 0", Case(".tif", tiff(WIDE * 257, t262=0), 255 - GRAY3)
    yield "PGM 16", Case(".pgm", encoded(".pgm", WIDE * 257), GRAY3)
    yield "JPEG 2000 16", Case(".jp2", encoded(".jp2", WIDE * 257), GRAY3)
    for suffix in (".png", ".tif", ".ppm"):
        yield f"{suffix} 16 color", Case(suffix, encoded(suffix, deep), COLOR)
    alpha = np.dstack([deep, WIDE * 200])
    yield "PNG 16 with alpha", Case(".png", encoded(".png", alpha), COLOR)
    twelve = WIDE * 16
    yield "PNG 12 in 16, said so", Case(".png", with_sbit(encoded(".png", twelve), 12), GRAY3, pillow="same until read")
    yield "PNG 12 spread over 16", Case(".png", with_sbit(full, 12), GRAY3)
    yield "TIFF 12 in 16, said so", Case(".tif", tiff(twelve, t341=4095), GRAY3, pillow="same until read")
    yield "TIFF of 12 bits", Case(".tif", tiff(twelve, 12, packed_12(twelve)), GRAY3, pillow="same until read")
    yield "PGM 12", Case(".pgm", f"P5 {WIDTH} {HEIGHT} 4095\n".encode() + twelve.astype(">u2").tobytes(), GRAY3)
    fifths = GRAY // 51
    small = f"P5 {WIDTH} {HEIGHT} 5\n".encode() + fifths.tobytes()
    yield "PGM of 6 levels", Case(".pgm", small, np.repeat(fifths[..., None] * np.uint8(51), 3, axis=2))
    for name, suffix, data in (
        ("PNG", ".png", encoded(".png", thermal)),
        ("TIFF", ".tif", encoded(".tif", thermal)),
        ("TIFF signed", ".tif", tiff(thermal.astype(np.int16), t339=2)),
        ("TIFF float", ".tif", tiff(thermal.astype(np.float32), t339=3)),
        ("JPEG 2000", ".jp2", encoded(".jp2", thermal)),
    ):
        yield f"{name}, range of the set", Case(suffix, data, GRAY3, value_range=THERMAL)
    yield "PNG 8, range of the set", Case(".png", encoded(".png", COLOR), COLOR, value_range=THERMAL)
    deep_thermal = encoded(".png", 7000 + COLOR.astype(np.uint16) * 4)
    yield (
        "PNG color, range of the set",
        Case(".png", deep_thermal, COLOR, value_range=THERMAL, pillow="same until read"),
    )


def _orientations() -> Iterator[tuple[str, Case]]:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(np.ascontiguousarray(turned_back(COLOR, orientation)[..., ::-1]))
        for kind, options in (
            ("PNG", {}),
            ("TIFF", {}),
            ("WEBP", {"lossless": True}),
            ("JPEG", {"quality": 95}),
            ("AVIF", {"quality": 95}),
        ):
            exact, suffix = kind not in ("JPEG", "AVIF"), f".{kind.lower()}"
            data = saved(stored, kind, exif=exif, **options)
            yield f"{kind} orientation {orientation}", Case(suffix, data, COLOR, exact)
        deep = turned_back(WIDE * 257, orientation)
        yield f"TIFF 16 orientation {orientation}", Case(".tif", tiff(deep, t274=orientation), GRAY3)


CASES = dict([*_modes(), *_depths(), *_orientations()])
