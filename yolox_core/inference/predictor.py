"""A model on disk -> detections in source pixels, the same whichever form the model has.

Preprocessing and post-processing are those of training's evaluation, so that what was measured is what one gets.
"""

import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from yolox_core.data.geometry import letterbox
from yolox_core.data.image_io import decode_image, read_image
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import check_threshold, select, to_source
from yolox_core.inference.runtimes import Decoder, Runtime, open_runtime
from yolox_core.structures import Detections, FloatArray, ImageArray

AHEAD = 2  # images in work for each core, or place of a batch, while one is waited for
Source = Path | str | bytes | ImageArray  # a file, an encoded file's bytes, or BGR pixels
Answer = tuple[ImageArray, Detections] | InputError
S = TypeVar("S")
R = TypeVar("R")


class Predictor:
    """Detections from images; load one with `Predictor.load(reference)`."""

    def __init__(self, runtime: Runtime) -> None:
        self.spec = runtime.spec
        self._runtime = runtime

    @classmethod
    def load(
        cls, reference: Path | str, device: torch.device | str = "cpu", runtime: str | None = None, threads: int = 0
    ) -> "Predictor":
        """From a released folder, a .pt checkpoint, a Megvii .pth, an .onnx or an OpenVINO .xml file.

        `runtime` "torch" (what a folder is run by), "onnx" or "openvino": the last two for a folder and an .onnx, on
        `threads` cores (0: all). InputError for anything else.
        """
        return cls(open_runtime(Path(reference), runtime, device, threads))

    def predict(
        self, images: Sequence[ImageArray], confidence: float | None = None, nms_iou: float | None = None
    ) -> list[Detections]:
        """Detections of each BGR uint8 image [H, W, 3], best first, run as one batch.

        Thresholds default to the model's own; InputError where one is outside 0 to 1.
        """
        finish = self._finish(confidence, nms_iou)
        if not images:
            return []
        return finish(self._runtime.decode, [self._fit(image) for image in images])

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
            return [
                _detections(self._one_core(_batch([one.letterboxed]))[0], one, pair)
                for one, pair in zip(fitted, checked, strict=True)
            ]
        found: list[Detections] = []
        for start in range(0, len(fitted), self.batch):
            group = slice(start, start + self.batch)
            decoded_BA = self._runtime.decode(_batch([one.letterboxed for one in fitted[group]]))
            found += map(_detections, decoded_BA, fitted[group], checked[group])
        return found

    @property
    def many_at_once(self) -> bool:
        """Whether `predict_each(one_core=True)` may be called from several threads."""
        return self._runtime.single_core is not None

    @property
    def batch(self) -> int:
        """Images that are best run together."""
        return self._runtime.batch

    def stream(
        self,
        images: Iterable[Source],
        confidence: float | None = None,
        nms_iou: float | None = None,
    ) -> Generator[Answer, None, None]:
        """As `predict`, for any number of images, files or their bytes, in their order and in bounded memory.

        Reading, decoding and fitting overlap with the network; ONNX Runtime and OpenVINO run an image on each core.
        In the place of an image that cannot be read comes its InputError; the others go on.
        """
        finish = self._finish(confidence, nms_iou)
        return self._alone(images, finish) if self._runtime.single_core else self._batched(images, finish)

    def decoded(self, image: ImageArray) -> FloatArray:
        """What the network says of one image before any selection: [A, 4+1+C], boxes xyxy in network px."""
        return self._runtime.decode(_batch([self._fit(image).letterboxed]))[0].numpy()

    def with_input_size(self, size: tuple[int, int]) -> "Predictor":
        """The same model at another input size (height, width) px, multiples of 32."""
        for side in size:
            if side < 32 or side % 32:
                raise InputError(f"input size: expected multiples of 32 px, got {list(size)}.")
        if self._runtime.fixed_size:
            fixed = list(self.spec.input_size)
            raise InputError(
                f"input size: this model was exported for {fixed}. Take its PyTorch form, or export again."
            )
        spec = dataclasses.replace(self.spec, input_size=size)
        return Predictor(dataclasses.replace(self._runtime, spec=spec))

    def _alone(self, images: Iterable[Source], finish: "Finish") -> Generator[Answer, None, None]:
        """Each image from file to boxes on one core, as many at a time as there are cores."""
        run = self._one_core

        def whole(source: Source) -> Answer:
            fitted = self._read(source)
            return fitted if isinstance(fitted, InputError) else (fitted.image, finish(run, [fitted])[0])

        yield from _ahead(whole, images)

    @functools.cached_property
    def _one_core(self) -> Decoder:
        """Runs an image on one core, in as many threads as one likes."""
        assert self._runtime.single_core is not None
        return self._runtime.single_core()

    def _batched(self, images: Iterable[Source], finish: "Finish") -> Generator[Answer, None, None]:
        """Batches of images that were read and fitted while the one before was run."""
        prepared = _ahead(self._read, images, self._runtime.batch)
        problem: Exception | None = None
        while problem is None:
            group: list[Fitted | InputError] = []
            try:
                group.extend(itertools.islice(prepared, self._runtime.batch))
            except Exception as raised:  # what was read before it is answered first
                problem = raised
            if not group:
                break
            readable = [fitted for fitted in group if not isinstance(fitted, InputError)]
            found = iter(finish(self._runtime.decode, readable) if readable else [])
            for fitted in group:
                yield fitted if isinstance(fitted, InputError) else (fitted.image, next(found))
        if problem is not None:
            raise problem

    def _read(self, source: Source) -> "Fitted | InputError":
        try:
            return self._fit(read_source(source))
        except InputError as refused:
            return refused

    def _fit(self, image: ImageArray) -> "Fitted":
        return Fitted(image, *letterbox(checked(image), self.spec.input_size))

    def _finish(self, confidence: float | None, nms_iou: float | None) -> "Finish":
        """From fitted images to detections, with thresholds that have been checked."""
        thresholds = self._thresholds(confidence, nms_iou)

        def finish(run: Decoder, batch: list[Fitted]) -> list[Detections]:
            decoded_BA = run(_batch([fitted.letterboxed for fitted in batch]))
            return [
                _detections(decoded_A, fitted, thresholds) for decoded_A, fitted in zip(decoded_BA, batch, strict=True)
            ]

        return finish

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
Finish = Callable[[Decoder, list[Fitted]], list[Detections]]


def _detections(decoded_A: Tensor, fitted: Fitted, thresholds: Thresholds) -> Detections:
    return to_source(select(decoded_A, *thresholds), fitted.scale, fitted.image.shape[:2])


def read_source(source: Source) -> ImageArray:
    """The pixels of a source; InputError where they cannot be read."""
    if isinstance(source, (Path, str)):
        return read_image(Path(source))
    return decode_image(source, "image") if isinstance(source, bytes) else source


def checked(image: ImageArray) -> ImageArray:
    """The image itself; InputError where it is not what a network can be given."""
    given: Any = image
    shape: tuple[int, ...] = getattr(given, "shape", ())
    if getattr(given, "dtype", None) != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        got = f"{given.dtype} {list(shape)}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"image: expected uint8 BGR [height, width, 3], got {got}. `read_image` gives such.")
    return image


def _batch(letterboxed: Sequence[ImageArray]) -> Tensor:
    """[H, W, 3] uint8 images of one size -> float32 [B, 3, H, W]."""
    return torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in letterboxed]).astype(np.float32))


def _ahead(work: Callable[[S], R], items: Iterable[S], batch: int = 1) -> Iterator[R]:
    """`work` on each item, in order, on every core, at most AHEAD for each core or place of a batch in hand.

    Where `items` raises, what was done before comes first.
    """
    cores = torch.get_num_threads()
    waiting: deque[Future[R]] = deque()
    source = iter(items)
    problem: Exception | None = None
    with ThreadPoolExecutor(cores) as pool:
        try:
            while True:
                try:
                    item = next(source)
                except StopIteration:
                    break
                except Exception as raised:
                    problem = raised
                    break
                waiting.append(pool.submit(work, item))
                if len(waiting) > AHEAD * max(cores, batch):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # who stops reading waits for what is in work, not for the rest
            pool.shutdown(wait=False, cancel_futures=True)
    if problem is not None:
        raise problem
