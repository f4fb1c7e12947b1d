"""The decoder: upright, three channels, never half an image; and sizes that agree with it."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pipeline.data import folders
from yolox_core.data.image_header import is_complete
from yolox_core.data.image_io import decode_image, image_size, read_image
from yolox_core.errors import InputError


def exif(orientation: int, order: str) -> bytes:
    """An APP1 segment that holds the orientation tag alone."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    tiff = mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_sizes_agree_with_the_decoder(tmp_path: Path, suffix: str) -> None:
    folders.picture(tmp_path / f"a{suffix}")
    assert image_size(tmp_path / f"a{suffix}") == read_image(tmp_path / f"a{suffix}").shape[:2] == (60, 80)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_and_its_size(tmp_path: Path, order: str, orientation: int) -> None:
    folders.picture(tmp_path / "a.jpg")
    plain = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(plain[:2] + exif(orientation, order) + plain[2:])
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == ((60, 80, 3) if orientation < 5 else (80, 60, 3))
    assert image_size(tmp_path / "a.jpg") == image.shape[:2]


def test_every_cut_of_a_jpeg_is_noticed_though_its_thumbnail_is_whole(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    plain = (tmp_path / "a.jpg").read_bytes()
    thumbnail = b"Exif\0\0" + plain
    whole = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + plain[2:]
    assert is_complete(whole) and is_complete(whole + b"trailing notes")
    assert decode_image(whole, "a.jpg").shape == (60, 80, 3)
    assert not any(is_complete(whole[:cut]) for cut in range(2, len(whole) - 1, 97))
    with pytest.raises(InputError, match=r"^a\.jpg: unreadable image: truncated"):
        decode_image(whole[:-40], "a.jpg")


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_images_have_three_channels(tmp_path: Path, channels: int) -> None:
    pixels = np.full((6, 8, channels), 200, np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    assert read_image(tmp_path / "a.png").shape == (6, 8, 3)


def test_a_missing_file_and_no_image_are_refused(tmp_path: Path) -> None:
    folders.write(tmp_path / "a.jpg", "text")
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=r"a\.jpg: unreadable image"):
            read(tmp_path / "a.jpg")
        with pytest.raises(InputError, match=r"b\.jpg: unreadable image"):
            read(tmp_path / "b.jpg")
