"""GIF, PPM, JPEG 2000 and AVIF: their sizes against the decoder, and every cut noticed before it complains."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolox_core.data.image_header import declared_size, is_complete
from yolox_core.data.image_io import decode_image, image_size, read_image
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.data.rare_image_header import rare_is_complete, rare_size
from yolox_core.errors import InputError


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def in_words(size: tuple[int, int]) -> bytes:
    height, width = size
    pixels = " ".join(str(value % 256) for value in range(height * width * 3))
    return f"P3\n# by hand\n{width} {height}\n255\n{pixels}\n".encode()


SIZE = (23, 41)
WAYS = {
    "gif": (".gif", saved(picture(SIZE), "GIF")),
    "animated gif": (
        ".gif",
        saved(picture(SIZE), "GIF", save_all=True, append_images=[picture(SIZE).rotate(180)] * 3, comment=b"a;b"),
    ),
    "ppm": (".ppm", saved(picture(SIZE), "PPM")),
    "pgm": (".pgm", saved(picture(SIZE, "L"), "PPM")),
    "pgm of 16 bits": (".pgm", b"P5 41 # wide\n23\n65535\n" + bytes(23 * 41 * 2)),
    "pbm": (".pbm", saved(picture(SIZE, "1"), "PPM")),
    "ppm in words": (".ppm", in_words(SIZE)),
    "jpeg 2000": (".jp2", saved(picture(SIZE), "JPEG2000", num_resolutions=2)),
    "avif": (".avif", saved(picture(SIZE), "AVIF")),
}


def test_this_build_reads_them_all() -> None:
    assert {suffix for suffix, _ in WAYS.values()} | {".jfif", ".jpe", ".dib", ".pnm"} <= IMAGE_SUFFIXES


@pytest.mark.parametrize("way", WAYS)
def test_the_size_is_that_of_the_decoded_image(tmp_path: Path, way: str) -> None:
    suffix, data = WAYS[way]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert read_image(path).shape == (*SIZE, 3)
    assert image_size(path) == SIZE and is_complete(data)
    assert rare_size(data) == (None if way == "avif" else SIZE)
    assert declared_size(data) == SIZE, "what a server bounds"


@pytest.mark.parametrize("way", [way for way in WAYS if way != "ppm in words"])
def test_every_cut_is_noticed(way: str) -> None:
    data = WAYS[way][1]
    assert not [cut for cut in range(len(data) // 3, len(data), 7) if is_complete(data[:cut])]
    with pytest.raises(InputError, match="truncated, its end is missing"):
        decode_image(data[:-1], way)


def test_what_follows_the_end_is_no_cut() -> None:
    assert all(rare_is_complete(data + b"\0\0") for way, (_, data) in WAYS.items() if way != "avif")


def test_of_an_animation_the_first_picture_is_read() -> None:
    data = WAYS["animated gif"][1]
    first = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, "a.gif")[..., ::-1], first)


@given(
    st.sampled_from([b"GIF89a", b"P6 ", b"P5", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x20ftyp"]),
    st.binary(max_size=80),
)
def test_any_bytes_have_a_size_or_none_and_an_end_or_none(start: bytes, rest: bytes) -> None:
    size = rare_size(start + rest)
    assert size is None or min(size) >= 0
    assert rare_is_complete(start + rest) in (True, False)
