"""Frames of a video file or a camera, with their time, read one by one by OpenCV.

supervision's generator gives pixels only: no time of a frame (phones record at a changing rate), no word where a file
breaks off, and no camera.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2

from pipeline.predict.inputs import Clip
from yolox_core.data.regular_file import require_regular
from yolox_core.errors import InputError, on_one_line
from yolox_core.structures import ImageArray

TOLERANCE = 0.02  # of the length: containers round it


@dataclass(frozen=True)
class Frame:
    """One picture of a clip."""

    index: int  # from 0
    time_s: float  # since its start
    image: ImageArray
    per_second: float  # frames of the clip


def frames(clip: Clip, every: int, seconds: float | None, stopped: Callable[[], bool]) -> Iterator[Frame | InputError]:
    """Each `every`-th frame of the first `seconds`, until `stopped`.

    Where nothing can be read, or a file ends before its time, an InputError comes last; what was read stands.
    """
    if clip.path is not None:
        try:
            require_regular(clip.path)
        except OSError as refused:
            yield InputError(f"{on_one_line(str(clip.path))}: unreadable video: {refused.strerror}.")
            return
    capture = _open(clip)
    try:
        yield from _read(capture, clip, every, seconds, stopped)
    finally:
        capture.release()


def expected_frames(clip: Clip) -> int | None:
    """How many frames the container promises; None where it does not, and for a camera or what is no file."""
    if clip.path is None or not clip.path.is_file():
        return None
    capture = _open(clip)
    try:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    return count if count > 0 else None


def _open(clip: Clip) -> Any:
    # otherwise each damaged block is a line of the decoder's own on standard error; it reads this when first used
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if clip.path is None:
            return cv2.VideoCapture(clip.device)
        return cv2.VideoCapture(str(clip.path), cv2.CAP_FFMPEG)  # not as a pattern of numbered images
    finally:
        cv2.utils.logging.setLogLevel(before)


def _read(
    capture: Any, clip: Clip, every: int, seconds: float | None, stopped: Callable[[], bool]
) -> Iterator[Frame | InputError]:
    began = time.monotonic()
    per_second = capture.get(cv2.CAP_PROP_FPS)
    per_second = per_second if 0 < per_second < 1000 else 25.0
    index, time_s = 0, 0.0
    while not stopped():
        # a camera's own clock is 0 on many systems
        if clip.path is None and seconds is not None and time.monotonic() - began >= seconds:
            return
        wanted = index % every == 0
        image = capture.read()[1] if wanted else None
        if image is None if wanted else not capture.grab():
            yield from _ended(clip, index, time_s, capture)
            return
        position_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        time_s = time.monotonic() - began if clip.path is None else position_s or index / per_second
        if clip.path is not None and seconds is not None and time_s >= seconds:
            return
        if image is not None:
            yield Frame(index, round(time_s, 3), image, per_second)
        index += 1


def _ended(clip: Clip, read: int, time_s: float, capture: Any) -> Iterator[InputError]:
    """Nothing where a clip is at its end, else what is wrong."""
    where = on_one_line(str(clip.path))
    if clip.path is None:
        got = "it gave no picture" if not read else f"it stopped after {read} frames"
        yield InputError(f"{clip.name}: expected a camera, got none: {got}. Check that it is connected and not in use.")
    elif not read:
        yield InputError(f"{where}: unreadable video: no decoder accepts it. Replace or remove it.")
    else:
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        per_second = capture.get(cv2.CAP_PROP_FPS) or 25.0
        # both: a container's number of frames may be its length times a mean rate
        few = read < promised * (1 - TOLERANCE) - 2
        early = time_s < promised / per_second * (1 - TOLERANCE) - 2 / per_second
        if few and early:
            yield InputError(
                f"{where}: the video breaks off: expected {int(promised)} frames, got {read}. "
                "What was found in them is kept; fetch the file again."
            )
