"""What a conversion loses: further pages, transparency and levels, in each kind of file; else nothing."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolox_core.data.decoding.conversion import FEW_LEVELS, Loss, as_bgr
from yolox_core.data.decoding.image_losses import image_losses
from yolox_core.data.decoding.sample_depth import sample_depth
from yolox_core.data.decoding.tiff_header import tiff_directories
from yolox_core.data.image_header import declared_size
from yolox_core.data.image_io import decode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PLAIN = Image.fromarray(PIXELS)
VEILED = Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]))
KINDS = {"PNG": "frames", "GIF": "frames", "WEBP": "frames", "AVIF": "frames", "TIFF": "pages"}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def lost(data: bytes) -> dict[str, str]:
    found: list[Loss] = []
    decode_image(data, "image", None, found)
    return {loss.code: loss.what for loss in (*found, *image_losses(data))}


@pytest.mark.parametrize("kind", [*KINDS, "JPEG", "BMP", "PPM", "JPEG2000"])
def test_a_plain_picture_loses_nothing(kind: str) -> None:
    assert lost(saved(PLAIN, kind)) == {}


@pytest.mark.parametrize(("kind", "word"), KINDS.items())
def test_pages_and_frames_are_counted(kind: str, word: str) -> None:
    more = [PLAIN.rotate(90), PLAIN.rotate(180)]
    data = saved(PLAIN, kind, save_all=True, append_images=more)
    assert lost(data) == {"image-animated": f"3 {word}, the first is used"}


@pytest.mark.parametrize("kind", [*KINDS, "JPEG2000"])
def test_transparency_is_noticed(kind: str) -> None:
    assert lost(saved(VEILED, kind)) == {"image-alpha": "a channel of transparency, which is dropped"}


def test_transparency_of_one_color_is_noticed() -> None:
    assert "image-alpha" in lost(saved(PLAIN.quantize(8), "PNG", transparency=2))
    assert "image-alpha" in lost(saved(PLAIN, "PNG", transparency=(1, 2, 3)))


def test_smaller_copies_of_a_page_are_no_pages() -> None:
    """As a pyramid of a slide scanner has them; Pillow writes tag 254 as it is told."""
    stream = io.BytesIO()
    PLAIN.save(stream, "TIFF", save_all=True, append_images=[PLAIN.resize((15, 10))], tiffinfo={254: 1})
    assert len(tiff_directories(stream.getvalue())) == 2 and "image-animated" not in lost(stream.getvalue())


@pytest.mark.parametrize("shift", [0, 7000])
def test_few_levels_are_told_with_the_values_that_were_there(shift: int) -> None:
    ramp = np.tile(np.arange(600, dtype=np.uint16) + shift, (4, 1))
    found: list[Loss] = []
    left = len(np.unique(as_bgr(ramp, "image", None, found)))
    assert left < FEW_LEVELS and [loss.code for loss in found] == ["image-few-levels"]
    said = f"{left} of 600 levels are left: its values are {shift} to {shift + 599}, 0 to 65535 are read as"
    assert said in found[0].what
    as_bgr(ramp, "image", (shift, shift + 599), found)
    assert len(found) == 1, "in its range nothing is lost"


def test_a_mask_of_two_values_loses_nothing() -> None:
    found: list[Loss] = []
    as_bgr(np.array([[0, 65535]], np.uint16), "image", None, found)
    assert not found


def test_a_range_is_never_made_from_one_picture() -> None:
    """A dark one and a bright one of a set: a sample of one value is the same gray in both."""
    dark, bright = np.full((4, 4), 900, np.uint16), np.full((4, 4), 60000, np.uint16)
    dark[0], bright[0] = 512, 512
    assert (as_bgr(dark, "dark")[0] == as_bgr(bright, "bright")[0]).all()


@given(
    st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF", b"P5 "]),
    st.binary(),
)
def test_any_bytes_have_a_header_or_none(start: bytes, rest: bytes) -> None:
    data = start + rest
    assert isinstance(image_losses(data), list) and sample_depth(data, asked=True) is not None
    assert declared_size(data) is None or len(declared_size(data) or ()) == 2


def test_a_directory_that_leads_back_to_itself_is_read_once() -> None:
    data = bytearray(saved(PLAIN, "TIFF"))
    (directory,) = tiff_directories(bytes(data))
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    data[at + 2 + 12 * count : at + 6 + 12 * count] = at.to_bytes(4, "little")
    assert tiff_directories(bytes(data)) == [directory]


def test_opencv_reads_the_first_page_of_what_is_counted() -> None:
    data = saved(PLAIN, "TIFF", save_all=True, append_images=[PLAIN.rotate(180)])
    np.testing.assert_array_equal(decode_image(data, "a.tif"), cv2.cvtColor(PIXELS, cv2.COLOR_RGB2BGR))
