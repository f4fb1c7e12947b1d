"""A model on disk -> detections in source pixels, the same whichever form the model has.

Preprocessing and post-processing are those of training's evaluation, so that what was measured is what one gets.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from yolox_core.config import RuntimeName
from yolox_core.cpus import cores
from yolox_core.data.decoding.conversion import Loss, as_bgr
from yolox_core.data.decoding.image_losses import image_losses
from yolox_core.data.geometry import letterbox, network_input
from yolox_core.data.image_io import decode_image, read_bytes
from yolox_core.data.pixel_budget import PixelBudget, most_pixels, pixels_in
from yolox_core.errors import InputError, on_one_line
from yolox_core.inference.conversion_losses import ConversionLosses
from yolox_core.inference.postprocess import OutputNotFinite, check_threshold, require_numbers, select, to_source
from yolox_core.inference.runtime import Decoder, Runtime
from yolox_core.inference.runtimes import open_runtime
from yolox_core.structures import Detections, FloatArray, ImageArray

if TYPE_CHECKING:
    import torch

AHEAD = 2  # images in work for each core, or place of a batch, while one is waited for
Source = Path | str | bytes | npt.NDArray[Any]  # a file, an encoded file's bytes, or BGR pixels (conversion.py)
Answer = tuple[ImageArray, Detections] | InputError
S = TypeVar("S")
R = TypeVar("R")


class Predictor:
    """Detections from images; load one with `Predictor.load(reference)`."""

    def __init__(self, runtime: Runtime, name: str = "the model") -> None:
        self.spec = runtime.spec
        self.losses = ConversionLosses()  # what images had and the network does not get
        self._runtime, self._name = runtime, name

    @classmethod
    def load(
        cls, reference: Path | str, device: "torch.device | str" = "cpu", runtime: str | None = None, threads: int = 0
    ) -> "Predictor":
        """From a released folder, a .pt checkpoint, a Megvii .pth, an .onnx or an OpenVINO .xml file.

        `runtime` "onnx" or "openvino" for a folder and an .onnx, on `threads` cores (0: all); "torch" for a folder, a
        .pt and a .pth. "auto" or None: what the file's form asks for, see open_runtime. InputError for anything else.
        """
        return cls(open_runtime(Path(reference), runtime, device, threads), str(reference))

    def predict(
        self, images: Sequence[ImageArray], confidence: float | None = None, nms_iou: float | None = None
    ) -> list[Detections]:
        """Detections of each image's pixels, best first, run as one batch: uint8 BGR [H, W, 3], or what `as_bgr` takes.

        Thresholds default to the model's own; InputError where one is outside 0 to 1, and OutputNotFinite where the
        network's answer to an image is no number.
        """
        thresholds = self._thresholds(confidence, nms_iou)
        fitted = [self._fit(image) for image in images]
        return _all(self._detections(self._runtime.decode, fitted, [thresholds] * len(fitted))) if fitted else []

    def predict_each(
        self,
        images: Sequence[ImageArray],
        thresholds: Sequence[tuple[float | None, float | None]],
        one_core: bool = False,
    ) -> list[Detections]:
        """As `predict`, each image with a (confidence, nms_iou) of its own: what a server does with what waits.

        A GPU takes `batch` together; a CPU one after the other, with all cores, for one caller at a time. `one_core`:
        on one core where the runtime can, for as many callers at a time as there are cores.
        """
        checked = [self._thresholds(*pair) for pair in thresholds]
        fitted = [self._fit(image) for image in images]
        if one_core and self._runtime.single_core is not None:
            run, share = self._one_core, 1
        else:
            run, share = self._runtime.decode, self.batch
        groups = [slice(start, start + share) for start in range(0, len(fitted), share)]
        return [found for group in groups for found in _all(self._detections(run, fitted[group], checked[group]))]

    @property
    def runtime(self) -> RuntimeName:
        """What runs the network: onnx, openvino or torch."""
        return self._runtime.name

    @property
    def many_at_once(self) -> bool:
        """Whether `predict_each(one_core=True)` may be called from several threads."""
        return self._runtime.single_core is not None

    @property
    def batch(self) -> int:
        """Images that are best run together."""
        return self._runtime.batch

    def stream(
        self, images: Iterable[Source], confidence: float | None = None, nms_iou: float | None = None
    ) -> Generator[Answer, None, None]:
        """As `predict`, for any number of images, files or their bytes, in their order and in bounded memory.

        Reading, decoding and fitting overlap with the network; ONNX Runtime and OpenVINO run an image on each core.
        In the place of an image that cannot be read comes its InputError; the others go on.
        """
        thresholds = self._thresholds(confidence, nms_iou)
        return (self._alone if self._runtime.single_core else self._batched)(images, thresholds)

    def decoded(self, image: ImageArray) -> FloatArray:
        """What the network says of one image before any selection: [A, 4+1+C], boxes xyxy in network px."""
        decoded_A: FloatArray = _decoded(self._runtime.decode, [self._fit(image)])[0]
        return decoded_A

    def _alone(self, images: Iterable[Source], thresholds: "Thresholds") -> Generator[Answer, None, None]:
        """Each image from file to boxes on one core, as many at a time as there are cores."""
        run = self._one_core

        def whole(source: Source) -> Answer:
            fitted = self._read(source)
            if isinstance(fitted, InputError):
                return fitted
            return _answer(source, fitted, self._detections(run, [fitted], [thresholds])[0])

        yield from _ahead(whole, images)

    @functools.cached_property
    def _one_core(self) -> Decoder:
        """Runs an image on one core, in as many threads as one likes."""
        assert self._runtime.single_core is not None
        return self._runtime.single_core()

    def _batched(self, images: Iterable[Source], thresholds: "Thresholds") -> Generator[Answer, None, None]:
        """Batches of images that were read and fitted while the one before was run."""
        group: list[tuple[Source, Fitted | InputError]] = []
        try:
            for pair in _ahead(lambda source: (source, self._read(source)), images, self.batch):
                group.append(pair)
                if len(group) == self.batch or _pixels_of(group) > most_pixels():
                    whole, group = group, []
                    yield from self._answers(whole, thresholds)
        except Exception:  # what was read before it is answered first
            yield from self._answers(group, thresholds)
            raise
        yield from self._answers(group, thresholds)

    def _answers(self, group: "list[tuple[Source, Fitted | InputError]]", thresholds: "Thresholds") -> Iterator[Answer]:
        readable = [fitted for _, fitted in group if not isinstance(fitted, InputError)]
        pairs = [thresholds] * len(readable)
        found = iter(self._detections(self._runtime.decode, readable, pairs) if readable else [])
        for source, fitted in group:
            yield fitted if isinstance(fitted, InputError) else _answer(source, fitted, next(found))

    def _read(self, source: Source) -> "Fitted | InputError":
        try:
            return self._fit(self.read(source))
        except InputError as refused:
            return refused

    def read(self, source: Source, where: str = "image") -> ImageArray:
        """The pixels of a source as the network gets them; InputError, which calls it `where`, where it is none."""
        lost: list[Loss] = []
        if isinstance(source, (Path, str)):
            source, where = read_bytes(Path(source)), on_one_line(str(source))
        if isinstance(source, bytes):
            image = decode_image(source, where, self.spec.value_range, lost)
            lost += image_losses(source)
        else:
            image = as_bgr(source, where, self.spec.value_range, lost)
        self.losses.add(where, lost)
        return image

    def _fit(self, image: ImageArray) -> "Fitted":
        pixels = self.read(image)
        return Fitted(pixels, *letterbox(pixels, self.spec.input_size))

    def _detections(
        self, run: Decoder, batch: "Sequence[Fitted]", thresholds: "Sequence[Thresholds]"
    ) -> list[Detections | OutputNotFinite]:
        """From fitted images, run together, to what is in each, by thresholds of its own that have been checked."""
        found: list[Detections | OutputNotFinite] = []
        for decoded_A, one, pair in zip(_decoded(run, batch), batch, thresholds, strict=True):
            try:
                require_numbers(decoded_A, "image", self._name)
                found.append(to_source(select(decoded_A, *pair), one.scale, one.image.shape[:2], self.spec))
            except OutputNotFinite as broken:
                found.append(broken)
        return found

    def _thresholds(self, confidence: float | None, nms_iou: float | None) -> "Thresholds":
        """Those given, or the model's own; InputError where one is outside 0 to 1."""
        confidence = self.spec.confidence if confidence is None else confidence
        nms_iou = self.spec.nms_iou if nms_iou is None else nms_iou
        check_threshold("confidence", confidence)
        check_threshold("nms_iou", nms_iou)
        return confidence, nms_iou


@dataclasses.dataclass(frozen=True)
class Fitted:
    """An image and what the network gets of it."""

    image: ImageArray
    letterboxed: ImageArray
    scale: float  # network pixels per source pixel


Thresholds = tuple[float, float]  # confidence, nms_iou


def _all(found: Sequence[Detections | OutputNotFinite]) -> list[Detections]:
    """What was found; raises the first that is nothing of the kind."""
    for one in found:
        if isinstance(one, OutputNotFinite):
            raise one
    return [one for one in found if isinstance(one, Detections)]


def _answer(source: Source, fitted: Fitted, found: Detections | OutputNotFinite) -> Answer:
    if isinstance(found, OutputNotFinite):
        return found.of(on_one_line(str(source))) if isinstance(source, (Path, str)) else found
    return fitted.image, found


def _decoded(run: Decoder, batch: Sequence[Fitted]) -> FloatArray:
    return run(network_input([fitted.letterboxed for fitted in batch]))


def _pixels_of(group: "Sequence[tuple[Source, Fitted | InputError]]") -> int:
    return sum(pixels_in(fitted.image) for _, fitted in group if isinstance(fitted, Fitted))


def _ahead(work: Callable[[S], R], items: Iterable[S], batch: int = 1) -> Iterator[R]:
    """`work` on each item, in order, on every core, at most AHEAD for each core or place of a batch in hand.

    Fewer of large images: see PixelBudget. Where `items` raises, what was done before comes first.
    """
    workers, budget = cores(), PixelBudget(most_pixels())

    def one(turn: int, item: S) -> tuple[int, R]:
        pixels = pixels_in(item)
        budget.take(pixels, turn)
        return pixels, work(item)

    waiting: deque[Future[tuple[int, R]]] = deque()
    problem: Exception | None = None

    def next_done() -> Iterator[R]:
        pixels, done = waiting.popleft().result()
        yield done
        budget.give_back(pixels)

    source = enumerate(items)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                try:
                    turn, item = next(source)
                except StopIteration:
                    break
                except Exception as raised:
                    problem = raised
                    break
                waiting.append(pool.submit(one, turn, item))
                if len(waiting) > AHEAD * max(workers, batch):
                    yield from next_done()
            while waiting:
                yield from next_done()
        finally:  # who stops reading waits for what is in work, not for the rest
            pool.shutdown(wait=False, cancel_futures=True)
            budget.open()
    if problem is not None:
        raise problem
