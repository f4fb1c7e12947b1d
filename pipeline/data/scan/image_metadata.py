"""What an encoded image is besides its pixels: format, bits, colors, orientation. Read by Pillow, unpainted.

What its conversion loses (levels, pages, transparency) the decoder says: yolox_core/data/decoding/image_losses.py.

Training decodes all of these into the same upright 8-bit BGR; who looks at the files elsewhere may see something else.
"""

import io
import warnings
from dataclasses import dataclass

from yolox_core.data.image_header import declared_size

_JPEG = (".jpg", ".jpeg", ".jfif", ".jpe", ".jfi", ".jif")
SUFFIXES = {
    "JPEG": _JPEG,
    "MPO": _JPEG,  # a JPEG with further pictures behind it, as some cameras write
    "PNG": (".png", ".apng"),
    "BMP": (".bmp", ".dib"),
    "DIB": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc"),
    "AVIF": (".avif",),
}
ENORMOUS_PX = 50_000_000  # 150 MB decoded, in each loading process
_ORIENTATION = 0x0112  # EXIF tag
_BITS_PER_SAMPLE = 258  # TIFF tag


@dataclass(frozen=True)
class ImageMetadata:
    """Of one file."""

    format: str  # JPEG, PNG ...
    notes: tuple[tuple[str, str], ...]  # (code in the catalog, what)


def image_metadata(data: bytes, suffix: str) -> ImageMetadata | None:
    """What is noteworthy about an encoded image; None where Pillow does not know the format."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its size: looked at here
            with Image.open(io.BytesIO(data)) as image:
                notes = _notes(image, suffix.lower())
                if _has_wide_channels(image, data) and "image-16-bit" not in dict(notes):
                    notes.append(("image-16-bit", "more than 8 bits a channel"))  # which Pillow does not open as such
                return ImageMetadata(str(image.format), tuple(notes))
    except Image.DecompressionBombError:  # beyond what Pillow opens
        height, width = declared_size(data) or (0, 0)
        kind = "PNG" if data.startswith(b"\x89PNG") else "JPEG" if data.startswith(b"\xff\xd8") else ""
        return ImageMetadata(kind, (("image-enormous", f"{width}x{height} px, {width * height / 1e6:.0f} MP"),))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        return None


def _has_wide_channels(image: "object", data: bytes) -> bool:
    """Whether a PNG or TIFF says so in its header."""
    if data.startswith(b"\x89PNG"):
        return data[24:25] == b"\x10"  # bit depth in IHDR
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    return max(bits if isinstance(bits, tuple) else (bits,), default=0) > 8


def _notes(image: "object", suffix: str) -> list[tuple[str, str]]:
    from PIL import Image

    assert isinstance(image, Image.Image)
    found: list[tuple[str, str]] = []
    kind, mode = str(image.format), image.mode
    expected = SUFFIXES.get(kind, ())
    if expected and suffix not in expected:
        found.append(("image-mislabelled", f"called {suffix or 'without suffix'}, its content is {kind}"))
    if image.width * image.height > ENORMOUS_PX:
        found.append(("image-enormous", f"{image.width}x{image.height} px, {image.width * image.height / 1e6:.0f} MP"))
    if mode in ("I", "F") or mode.startswith("I;16"):
        found.append(("image-16-bit", f"more than 8 bits a channel ({mode})"))
    elif mode == "CMYK":
        found.append(("image-cmyk", "made of cyan, magenta, yellow and black"))
    elif mode == "P":
        found.append(("image-palette", "colours are numbers of a palette"))
    elif mode in ("L", "1"):
        found.append(("image-grayscale", "one channel"))
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation != 1 and orientation in range(2, 9):
        found.append(("image-rotated", f"stored turned or mirrored (EXIF orientation {orientation})"))
    return found
