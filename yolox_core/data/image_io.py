"""Reading image files: the one decoder of the whole project.

BGR uint8, three channels, turned upright by EXIF orientation; a truncated file is refused, never padded with grey.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from yolox_core.data.image_header import is_complete
from yolox_core.data.records import DatasetRecords
from yolox_core.data.regular_file import read_regular
from yolox_core.errors import InputError, on_one_line
from yolox_core.structures import ImageArray

READERS = 8  # threads: decoding and hashing release the interpreter's lock


def read_image(path: Path) -> ImageArray:
    """The image [height, width, 3] at `path`; InputError where it is missing, truncated or no image."""
    return decode_image(read_bytes(path), on_one_line(str(path)))


def decode_image(data: bytes, where: str) -> ImageArray:
    """The image in an encoded file's bytes; `where` names it in the InputError."""
    if not data:
        raise InputError(f"{where}: unreadable image: the file is empty. Replace or remove it.")
    # before decoding: OpenCV either fills what is missing with grey or complains on standard error
    if not is_complete(data):
        raise InputError(f"{where}: unreadable image: truncated, its end is missing. Replace or remove it.")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as failed:  # OpenCV's own limits, 2**20 px a side and 2**30 px in all
        if failed.code == cv2.Error.StsNoMem:
            raise InputError(f"{where}: unreadable image: too little memory to decode it. Free some.") from failed
        image = None
    if image is None:
        raise InputError(f"{where}: unreadable image: no decoder accepts its {len(data)} bytes. Replace or remove it.")
    return cast(ImageArray, image)


def read_bytes(path: Path) -> bytes:
    """An image file's bytes; InputError where it cannot be opened."""
    try:
        return read_regular(path)
    except OSError as failed:
        raise InputError(f"{on_one_line(str(path))}: unreadable image: {failed.strerror}.") from failed


def content_digests(records: DatasetRecords) -> list[str]:
    """sha256 of each image file's bytes, in the records' order."""
    paths = [records.path(record) for record in records.images]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda path: hashlib.sha256(read_bytes(path)).hexdigest(), paths))
