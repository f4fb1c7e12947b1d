"""What a header says, for every format that a server takes, against the decoder."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolox_core.data.image_header import declared_size
from yolox_core.data.image_io import decode_image

SIZES = [(1, 1), (37, 501), (480, 640), (7, 4000)]
WAYS = {
    "jpeg": (".jpg", []),
    "progressive jpeg": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "png": (".png", []),
    "bmp": (".bmp", []),
    "lossy webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 60]),
    "lossless webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_the_declared_size_is_that_of_the_decoded_image(way: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    suffix, options = WAYS[way]
    data = cv2.imencode(suffix, pixels, options)[1].tobytes()
    assert declared_size(data) == decode_image(data, way).shape[:2] == size


def test_an_extended_webp_says_the_size_of_its_canvas() -> None:
    pixels = np.zeros((30, 50, 4), np.uint8)  # an alpha channel makes it extended
    pixels[..., 3] = np.arange(50)
    data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 60])[1].tobytes()
    assert data[12:16] == b"VP8X" and declared_size(data) == (30, 50)


def test_a_bmp_of_either_direction_and_the_oldest_kind() -> None:
    start = b"BM" + b"\0" * 12
    assert declared_size(start + struct.pack("<Iii", 40, 9, -7) + b"\0" * 40) == (7, 9)
    assert declared_size(start + struct.pack("<IHH", 12, 9, 7) + b"\0" * 4) == (7, 9)


@given(
    st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b"BM"]), st.binary(max_size=64)
)
def test_any_bytes_have_a_size_or_none(start: bytes, rest: bytes) -> None:
    size = declared_size(start + rest)
    assert size is None or (size[0] >= 0 and size[1] >= 0)


def jpeg(height: int, width: int) -> bytes:
    return cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize("alone", [b"\xff\x01", b"\xff\xd0", b"\xff\xff\xff\x01\xff\xd7"])
def test_a_marker_without_a_length_hides_no_other_size(alone: bytes) -> None:
    """Behind it stands a comment that holds a small frame and a scan, for who reads a length there."""
    small, large = jpeg(8, 8)[2:], jpeg(600, 800)
    comment = b"\xff\xfe" + struct.pack(">H", len(small) + 2) + small
    forged = large[:2] + alone + comment + large[2:]
    assert decode_image(forged, "forged").shape[:2] == (600, 800)
    assert declared_size(forged) == (600, 800)


@pytest.mark.parametrize("piece", [b"\xff\xe1\x00\x02", b"\xff\x01", b"\xff\x00\x00\x02", b"\xff\xe1\x00\x00"])
def test_a_header_without_an_end_is_left_soon(piece: bytes) -> None:
    assert declared_size(b"\xff\xd8" + piece * 200_000 + jpeg(8, 8)[2:]) is None


def test_any_number_of_fill_bytes_is_nothing() -> None:
    assert declared_size(b"\xff\xd8" + b"\xff" * 20_000_000 + jpeg(8, 8)[2:]) == (8, 8)
