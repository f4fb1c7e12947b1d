"""From an encoded image to detections, several requests at a time: what a process of `yolox serve` does with its cores.

On a CPU a single request gets all cores, and of concurrent requests each gets one; a GPU takes what arrived during the
batch before as one batch. Used by both ways to serve: uvicorn_server.py and deployment.py.
"""

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.serving.model_watcher import Model
from pipeline.serving.upload import IMAGE_FIELD, Refused
from yolox_core.data.decoding.conversion import Loss
from yolox_core.data.decoding.image_losses import image_losses
from yolox_core.data.image_io import decode_image
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import OutputNotFinite
from yolox_core.structures import Detections, ImageArray


@dataclass(frozen=True)
class Question:
    """One image, still encoded, on its way to detections by `model`."""

    model: Model
    encoded: bytes
    confidence: float | None
    nms_iou: float | None


@dataclass(frozen=True)
class Answer:
    """What was found, and how long it took."""

    found: Detections
    image_size: tuple[int, int]  # height, width
    decode_ms: float
    network_ms: float  # fitting, network and selection
    lost: tuple[Loss, ...] = ()  # by the conversion of the image


class Pool:
    """Threads that decode images and run the network."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="network")
        # for batches alone: with one executor of one thread the network would wait for what it overlaps with
        self._decoding = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._whole = threading.Lock()  # around what takes all cores, or all of a GPU
        self._at_work = 0
        self._waiting: list[tuple[Question, _Decoded, asyncio.Future[Answer]]] = []  # for the next batch
        self._batches: asyncio.Task[None] | None = None
        torch = sys.modules.get("torch")  # there only where the model runs in it
        if torch is not None:
            torch.set_num_threads(threads)

    async def detect(self, question: Question) -> Answer:
        """The answer to one question; Refused where its image cannot be decoded."""
        loop = asyncio.get_running_loop()
        if question.model.predictor.batch > 1:
            decoded = await loop.run_in_executor(self._decoding, _decode, question)
            return await self._batched(question, decoded)
        self._at_work += 1
        try:
            one_core = self._threads == 1 or self._at_work > 1
            return await loop.run_in_executor(self._executor, self._single, question, one_core)
        finally:
            self._at_work -= 1

    def _single(self, question: Question, one_core: bool) -> Answer:
        """Decoded and run in one go: a change of thread between the two would cost more than it brings."""
        decoded = _decode(question)
        if one_core and question.model.predictor.many_at_once:
            return _answers([(question, decoded)], one_core=True)[0]
        with self._whole:
            return _answers([(question, decoded)])[0]

    async def _batched(self, question: Question, decoded: "_Decoded") -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, decoded, future))
        if self._batches is None:
            self._batches = asyncio.create_task(self._run_batches())
        return await future

    async def _run_batches(self) -> None:
        """Until nothing waits: all that came while the batch before was run. Nobody waits for company."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group = self._waiting[: self._waiting[0][0].model.predictor.batch]
                del self._waiting[: len(group)]
                pairs = [(question, decoded) for question, decoded, _ in group]
                try:
                    answers = await loop.run_in_executor(self._executor, self._together, pairs)
                except Exception as failed:  # belongs to those who asked; the next batch is run all the same
                    _settle([future for *_, future in group], failed)
                else:
                    _settle([future for *_, future in group], answers)
        finally:
            self._batches = None

    def _together(self, pairs: "list[tuple[Question, _Decoded]]") -> list[Answer]:
        with self._whole:
            return _answers(pairs)


@dataclass(frozen=True)
class _Decoded:
    image: ImageArray
    took_ms: float
    lost: tuple[Loss, ...]


def _decode(question: Question) -> _Decoded:
    began = time.perf_counter()
    try:
        lost: list[Loss] = []
        image = decode_image(question.encoded, IMAGE_FIELD, question.model.predictor.spec.value_range, lost)
    except InputError as broken:
        raise Refused(400, str(broken)) from broken
    return _Decoded(image, (time.perf_counter() - began) * 1e3, (*lost, *image_losses(question.encoded)))


def _answers(pairs: list[tuple[Question, _Decoded]], one_core: bool = False) -> list[Answer]:
    """Answers in the order of the questions; those of one model are run together."""
    answers: dict[int, Answer] = {}
    for model in {id(question.model): question.model for question, _ in pairs}.values():
        mine = [index for index, (question, _) in enumerate(pairs) if question.model is model]
        began = time.perf_counter()
        try:
            found = model.predictor.predict_each(
                [pairs[index][1].image for index in mine],
                [(pairs[index][0].confidence, pairs[index][0].nms_iou) for index in mine],
                one_core,
            )
        except OutputNotFinite as broken:
            raise Refused(500, str(broken)) from broken
        took_ms = (time.perf_counter() - began) * 1e3
        for index, one in zip(mine, found, strict=True):
            decoded = pairs[index][1]
            height, width = decoded.image.shape[:2]
            answers[index] = Answer(one, (height, width), decoded.took_ms, took_ms, decoded.lost)
    return [answers[index] for index in range(len(pairs))]


def _settle(futures: "list[asyncio.Future[Answer]]", outcome: list[Answer] | Exception) -> None:
    for index, future in enumerate(futures):
        if future.done():  # whoever asked is gone
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome[index])
