"""From a request's body to an encoded image and its thresholds: a form, JSON, or the image file itself.

Nothing is held that is larger than allowed: a body is measured while it arrives, an image by its header, before it is
decoded.
"""

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pipeline.serving.options import Limits
from yolox_core.data.base64_text import decode_base64
from yolox_core.data.image_header import declared_size
from yolox_core.data.pixel_budget import pixels_of
from yolox_core.errors import InputError, nearest

IMAGE_FIELD = "image"
THRESHOLDS = ("confidence", "nms_iou")
PARAMETERS = (*THRESHOLDS, "version")  # in the query, a form and JSON alike
RAW_TYPES = ("image/", "application/octet-stream")
FORMATS = "JPEG, PNG, WebP, BMP, TIFF, GIF, PNM, JPEG 2000 or AVIF"


class Refused(Exception):
    """A request that cannot be answered: an HTTP status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Upload:
    """An encoded image, how large it is, and what was asked for; None: the model's own thresholds, any version."""

    image: bytes
    pixels: int  # by its header
    confidence: float | None
    nms_iou: float | None
    version: str | None = None


async def read_upload(request: Request, limits: Limits) -> Upload:
    """What the request carries; Refused where it is too large, of no known type, or not what it says."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given: dict[str, Any] = {name: request.query_params.get(name) for name in PARAMETERS}
    try:
        async with asyncio.timeout(limits.sent_within_s):
            body = await _body(request, limits.max_bytes)
    except TimeoutError:
        raise Refused(408, f"body: expected all of it within {limits.sent_within_s:g} s. Send it again.") from None
    asked = [name for name, _ in request.query_params.multi_items()]
    _check_names(asked, PARAMETERS)
    fields: dict[str, Any] = {}
    if kind == "multipart/form-data":
        image, fields = await _form(request, body, limits.max_bytes)
    elif kind == "application/json":
        image, fields = _json(body)
    elif kind.startswith(RAW_TYPES):
        image = body
    else:
        raise Refused(
            415,
            f"content-type: expected multipart/form-data, application/json or image/*, got {kind[:80] or 'none'}. "
            f"Send the file as the form's field '{IMAGE_FIELD}', or as the body.",
        )
    _check_once([*asked, *fields])
    given |= fields
    pixels = checked_pixels(image, limits.max_pixels)
    version = None if given["version"] is None else str(given["version"])
    confidence, nms_iou = (_threshold(name, given[name]) for name in THRESHOLDS)
    return Upload(image, pixels, confidence, nms_iou, version)


def checked_pixels(image: bytes, max_pixels: int) -> int:
    """How many px it counts for among all that are at work (`pixels_of`).

    Refused unless the bytes begin like an image of a known format that is not too large.
    """
    if not image:
        raise Refused(400, "image: the file is empty. Send an encoded image.")
    size = declared_size(image)
    if size is None:
        raise Refused(400, f"image: expected a {FORMATS} file, got {len(image)} bytes of something else.")
    height, width = size
    if height * width > max_pixels:
        raise Refused(
            413,
            f"image: expected at most {max_pixels / 1e6:g} megapixels, got {width} x {height} px. Shrink or cut it.",
        )
    return pixels_of(image)


def _check_names(given: Iterable[str], known: tuple[str, ...]) -> None:
    """Refused where a parameter's name is not known: what it asks for would not be done, without a word."""
    for name in given:
        if name not in known:
            raise Refused(422, f"{name[:40]}: no such parameter. {nearest(name[:40], known)}")


def _check_once(given: Iterable[str]) -> None:
    """Refused where a parameter is given twice: only one of its values would be used, without a word."""
    for name, count in Counter(given).items():
        if count > 1:
            raise Refused(422, f"{name[:40]}: expected one value, got {count}. Send it once, in the query or the body.")


async def _body(request: Request, most: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most, f"{int(declared) / 2**20:.1f} MiB")
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > most:
            raise _too_large(most, "more")
    return bytes(received)


def _too_large(most: int, got: str) -> Refused:
    return Refused(413, f"body: expected at most {most / 2**20:g} MiB, got {got}. Send a smaller file.")


async def _form(request: Request, body: bytes, most: int) -> tuple[bytes, dict[str, Any]]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, once(), max_files=1, max_fields=8, max_part_size=most)
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as broken:
        raise Refused(400, f"form: not multipart/form-data that can be read ({broken}).") from broken
    async with _closing(form):
        image = form.get(IMAGE_FIELD)
        if image is None:
            got = ", ".join(sorted(set(form))) or "none"
            raise Refused(400, f"form: expected a file in the field '{IMAGE_FIELD}', got fields: {got[:100]}.")
        names = [name for name, _ in form.multi_items()]
        _check_names(names, (IMAGE_FIELD, *PARAMETERS))
        _check_once(names)
        content = await image.read() if isinstance(image, UploadFile) else _decoded(image)
        return content, {name: form[name] for name in PARAMETERS if name in form}


class _closing:
    """A form's files, closed at the end of the block."""

    def __init__(self, form: Any) -> None:
        self._form = form

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exception: object) -> None:
        await self._form.close()


def _json(body: bytes) -> tuple[bytes, dict[str, Any]]:
    try:
        content = json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError) as broken:
        raise Refused(400, f"body: not JSON ({str(broken)[:100]}).") from broken
    text = content.get(IMAGE_FIELD) if isinstance(content, Mapping) else None
    if not isinstance(text, str):
        names = f" Got: {', '.join(sorted(content))[:100] or 'none'}." if isinstance(content, Mapping) else ""
        raise Refused(
            400, f'body: expected {{"{IMAGE_FIELD}": "<base64 of the file>"}}, got no text under that name.{names}'
        )
    _check_names(content, (IMAGE_FIELD, *PARAMETERS))
    return _decoded(text), {name: content[name] for name in PARAMETERS if name in content}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_once(name for name, _ in pairs)
    return dict(pairs)


def _decoded(text: str) -> bytes:
    try:
        return decode_base64(text, IMAGE_FIELD)
    except InputError as broken:
        raise Refused(400, str(broken)) from broken


def _threshold(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        threshold = float(value)
    except (TypeError, ValueError, OverflowError):
        threshold = math.nan
    if isinstance(value, bool) or not 0.0 <= threshold <= 1.0:
        raise Refused(422, f"{name}: expected a threshold from 0 to 1, got {str(value)[:40]!r}.")
    return threshold
