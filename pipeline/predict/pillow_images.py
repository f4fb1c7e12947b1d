"""Pillow images as the predictor takes them: the same pixels as those of their file, in every mode, or a refusal.

What Pillow has not read yet is read as any file, where it has more than 8 bits: of these Pillow keeps the upper 8 of
colors, and nothing of the range that the file states.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from yolox_core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_PLAIN = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK")  # of 8 bits
_DEEP = ("I", "F")  # and I;16, I;16L, I;16B, I;16N
_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0  # TIFF tag
_LARGEST = 65535


def is_pillow_image(picture: object) -> bool:
    """Whether it is one, without importing Pillow."""
    return hasattr(picture, "getexif") and hasattr(picture, "getbands")


def pillow_source(picture: "PillowImage") -> bytes | npt.NDArray[Any]:
    """The file's bytes, or BGR or gray pixels upright by EXIF; InputError where the mode has no one meaning."""
    from PIL import ImageOps

    mode, kind = picture.mode, picture.format
    if not (mode in (*_PLAIN, *_DEEP) or mode.startswith("I;16")):
        raise InputError(
            f"image: expected a Pillow image of mode {', '.join(_PLAIN)}, I;16, I or F, got {mode}. "
            "Give the path of its file, or image.convert('RGB')."
        )
    encoded = _not_read_yet(picture)
    if encoded is not None:
        return encoded
    upright = ImageOps.exif_transpose(picture)
    if mode not in _PLAIN:
        return _samples(upright, picture)
    if mode == "CMYK" and kind in ("JPEG", "MPO"):
        return _bgr_of_inks(np.asarray(upright))
    if kind == "GIF" and "transparency" in picture.info and mode in ("P", "L"):
        return _over_background(upright, picture)
    return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[..., ::-1])


def _not_read_yet(picture: "PillowImage") -> bytes | None:
    """The bytes of a file that was opened and not read, at its first frame, whose samples have more than 8 bits."""
    file, tiles = getattr(picture, "fp", None), getattr(picture, "tile", None)
    if file is None or not tiles or picture.tell() != 0 or picture.format not in ("PNG", "TIFF", "PPM", "JPEG2000"):
        return None
    if picture.mode in _PLAIN and ";16" not in repr(tiles) and picture.format != "PPM":
        return None
    at = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(at)
    return data


def _samples(upright: "PillowImage", picture: "PillowImage") -> npt.NDArray[Any]:
    """Pixels of more than 8 bits: what fits into 16 bits is of 16, as Pillow's mode I of a PNM is."""
    samples: npt.NDArray[Any] = np.asarray(upright)
    fits = samples.dtype == np.int32 and samples.min() >= 0 and samples.max() <= _LARGEST
    if picture.mode.startswith("I;16") or (fits and picture.format != "TIFF"):
        samples = samples.astype(np.uint16)
    inverted = getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _MIN_IS_WHITE and samples.dtype == np.uint16
    return np.subtract(_LARGEST, samples, dtype=np.uint16) if inverted else samples


def _bgr_of_inks(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """As OpenCV converts a JPEG of four inks, which Pillow does by another rounding. [H, W, 4] C, M, Y, K."""
    light = 255 - pixels.astype(np.int32)
    key = light[..., 3:]
    bgr = key - ((255 - light[..., 2::-1]) * key >> 8)
    return bgr.astype(np.uint8)


def _over_background(upright: "PillowImage", picture: "PillowImage") -> npt.NDArray[np.uint8]:
    """BGR of a GIF's first frame: its transparent pixels in the background color, as the decoder shows them."""
    index = np.array(upright)
    index[index == picture.info["transparency"]] = picture.info.get("background", 0)
    if upright.mode == "L":
        return index
    palette = np.array(upright.getpalette(), np.uint8).reshape(-1, 3)
    return np.ascontiguousarray(palette[index][..., ::-1])
