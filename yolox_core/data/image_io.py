"""Reading image files: the one decoder of the whole project.

BGR uint8, three channels, turned upright by EXIF orientation; a truncated file is refused, never padded with grey.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from yolox_core.data.decoding.avif_turn import avif_turn, turned
from yolox_core.data.decoding.conversion import Loss, ValueRange, as_bgr, scaled
from yolox_core.data.decoding.decoder_messages import quiet_decoders
from yolox_core.data.decoding.sample_depth import SampleDepth, sample_depth, without_premultiplying
from yolox_core.data.image_header import is_complete, upright_size
from yolox_core.data.records import DatasetRecords
from yolox_core.data.regular_file import read_regular
from yolox_core.errors import InputError, on_one_line
from yolox_core.structures import ImageArray

READERS = 8  # threads: decoding and hashing release the interpreter's lock


def read_image(path: Path, value_range: ValueRange | None = None) -> ImageArray:
    """The image [height, width, 3] at `path`; InputError where it is missing, truncated or no image."""
    return decode_image(read_bytes(path), on_one_line(str(path)), value_range)


def decode_image(
    data: bytes, where: str, value_range: ValueRange | None = None, lost: list[Loss] | None = None
) -> ImageArray:
    """The image in an encoded file's bytes; `where` names it in the InputError.

    value_range: the samples that are black and white where there are more than eight bits of them; None: as the file
    states it, else all sixteen bits. Where few levels are left, that is added to `lost`; further pages and transparency
    are for `image_losses` to tell.
    """
    if not data:
        raise InputError(f"{where}: unreadable image: the file is empty. Replace or remove it.")
    # before decoding: OpenCV either fills what is missing with grey or complains on standard error
    if not is_complete(data):
        raise InputError(f"{where}: unreadable image: truncated, its end is missing. Replace or remove it.")
    depth = sample_depth(data, value_range is not None)
    return _deep(data, depth, where, value_range, lost) if depth.is_deep else _plain(data, depth, where)


def _plain(data: bytes, depth: SampleDepth, where: str) -> ImageArray:
    """Eight bits a channel by the decoder."""
    turn = avif_turn(data)
    flags = cv2.IMREAD_COLOR if turn is None else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image: ImageArray = _decoded(without_premultiplying(data), flags, where)
    if depth.stated is not None:
        image = scaled(image, depth.stated[1])
    return image if turn is None else turned(image, turn)


def _deep(
    data: bytes, depth: SampleDepth, where: str, value_range: ValueRange | None, lost: list[Loss] | None
) -> ImageArray:
    """Eight bits a channel of samples of another depth, by the one rule for them."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if depth.is_color else cv2.IMREAD_UNCHANGED
    samples = _decoded(data, flags, where)
    if depth.shift and samples.dtype == np.uint16:
        samples = samples >> depth.shift
    stated = depth.stated
    if depth.is_spread_above is not None and samples.max(initial=0) > depth.is_spread_above:
        stated = None
    image = as_bgr(samples, f"{where}: unreadable image", value_range or stated, lost)
    return np.subtract(255, image, dtype=np.uint8) if depth.is_inverted else image


def _decoded(data: bytes, flags: int, where: str) -> npt.NDArray[Any]:
    """What OpenCV makes of the bytes; InputError where it makes nothing."""
    try:
        with quiet_decoders():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as failed:  # OpenCV's own limits, 2**20 px a side and 2**30 px in all
        if failed.code == cv2.Error.StsNoMem:
            raise InputError(f"{where}: unreadable image: too little memory to decode it. Free some.") from failed
        image = None
    if image is None:
        raise InputError(f"{where}: unreadable image: no decoder accepts its {len(data)} bytes. Replace or remove it.")
    return image


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) in px as `read_image` returns it, mostly from the header; InputError where unreadable."""
    data = read_bytes(path)
    size = upright_size(data)
    if size is None:
        height, width, _ = decode_image(data, on_one_line(str(path))).shape
        return height, width
    return size


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
