"""From sources to what is in each of their images and frames, in order and in bounded memory."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipeline.predict.inputs import Clip, Source, Still
from pipeline.predict.slicing import SlicingPredictor
from pipeline.predict.video import expected_frames, frames
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor
from yolox_core.structures import Detections, ImageArray


@dataclass(frozen=True)
class Look:
    """One image, or one frame of a clip."""

    source: Source
    image_id: int  # from 1, over the whole run
    content: Path | ImageArray
    frame: int | None = None  # of a clip, from 0
    time_s: float | None = None  # since the clip's start
    per_second: float | None = None  # frames that are looked at, in the clip's own time

    @property
    def name(self) -> str:
        """The file it is from."""
        return self.source.name

    @property
    def picture(self) -> str:
        """What it is called as a picture of its own: frames lie in a folder called like their clip."""
        return f"{self.source.folder}/{self.frame:06d}.jpg" if isinstance(self.source, Clip) else self.source.name

    @property
    def place(self) -> dict[str, int | float]:
        """Where in a clip it is; nothing for an image."""
        return {} if self.frame is None or self.time_s is None else {"frame": self.frame, "time_s": self.time_s}


@dataclass(frozen=True)
class Seen:
    """What is in one image."""

    look: Look
    image: ImageArray
    found: Detections


@dataclass(frozen=True)
class Detecting:
    """With what, and how strictly."""

    predictor: Predictor | SlicingPredictor
    confidence: float
    nms_iou: float


@dataclass(frozen=True)
class Stretch:
    """Which frames of a clip."""

    every: int = 1
    seconds: float | None = None


def see(
    sources: Sequence[Source], stretch: Stretch, detecting: Detecting, stopped: Callable[[], bool]
) -> Iterator[Seen | InputError]:
    """The answer for each image and frame; an InputError in the place of what cannot be read."""
    waiting: deque[Look | InputError] = deque()

    def contents() -> Iterator[Path | ImageArray]:
        for look in _looks(sources, stretch, stopped):
            waiting.append(look)
            if isinstance(look, Look):
                yield look.content

    for answer in detecting.predictor.stream(contents(), detecting.confidence, detecting.nms_iou):
        yield from _refused(waiting)
        look = waiting.popleft()
        assert isinstance(look, Look)
        yield answer if isinstance(answer, InputError) else Seen(look, *answer)
    yield from _refused(waiting)


def expected_images(sources: Sequence[Source], stretch: Stretch) -> int | None:
    """How many images are to come, as far as containers say; None with a camera or a bound in seconds."""
    counts = [expected_frames(source) if isinstance(source, Clip) else 1 for source in sources]
    clips = any(isinstance(source, Clip) for source in sources)
    if None in counts or (clips and stretch.seconds is not None):
        return None
    return sum(
        -(-(count or 0) // stretch.every) if isinstance(source, Clip) else 1
        for source, count in zip(sources, counts, strict=True)
    )


def _refused(waiting: deque[Look | InputError]) -> Iterator[InputError]:
    """The clips' errors that come before the next image."""
    while waiting and isinstance(waiting[0], InputError):
        refused = waiting.popleft()
        assert isinstance(refused, InputError)
        yield refused


def _looks(sources: Iterable[Source], stretch: Stretch, stopped: Callable[[], bool]) -> Iterator[Look | InputError]:
    image_id = 0
    for source in sources:
        if stopped():
            return
        if isinstance(source, Still):
            image_id += 1
            yield Look(source, image_id, source.path)
            continue
        for frame in frames(source, stretch.every, stretch.seconds, stopped):
            if isinstance(frame, InputError):
                yield frame
                continue
            image_id += 1
            yield Look(source, image_id, frame.image, frame.index, frame.time_s, frame.per_second / stretch.every)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: what is in work is finished and kept. Pressed again, it ends the program at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread hears it
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask) or signal.default_int_handler
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
