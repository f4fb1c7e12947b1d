"""How an AVIF is to be turned and mirrored: `irot` and `imir` of ISO 23008-12, which OpenCV passes over."""

import cv2

from yolox_core.structures import ImageArray

_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def avif_turn(data: bytes) -> tuple[int, int | None] | None:
    """(quarter turns against the clock, axis of the mirror or None) of an AVIF; None where nothing is to be done."""
    if data[4:8] != b"ftyp":
        return None
    end = data.find(b"mdat")
    turns, axis = (_property(data, name, end if end > 0 else len(data)) for name in (b"irot", b"imir"))
    return (turns & 3 if turns else 0, axis) if turns or axis is not None else None


def turned(image: ImageArray, turn: tuple[int, int | None]) -> ImageArray:
    """The image as it is meant: turned, then mirrored; axis 0: the top to the bottom, 1: the left to the right."""
    turns, axis = turn
    if turns:
        image = cv2.rotate(image, _TURNS[turns]).astype("uint8", copy=False)
    return image if axis is None else cv2.flip(image, axis & 1).astype("uint8", copy=False)


def _property(data: bytes, name: bytes, end: int) -> int | None:
    """The one byte of an item's property."""
    at = data.find(name, 0, end)
    return data[at + 4] if at > 0 and at + 4 < len(data) else None
