"""What a process does with its cores: a single request on all, concurrent ones on one each, on a GPU in batches."""

import asyncio
import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.serving.model_watcher import Model, ModelWatcher
from pipeline.serving.pool import Answer, Pool, Question
from pipeline.serving.upload import Refused
from tests.pipeline.cli.commands_project import released
from yolox_core.config import ONNX_FILE
from yolox_core.data.image_io import decode_image
from yolox_core.export.onnx import export_onnx
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtimes import Runtime, open_runtime
from yolox_core.structures import Detections, ImageArray

BATCH = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = released(tmp_path_factory.mktemp("pool") / "released")
    export_onnx(made, made / ONNX_FILE)
    return made


def image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


IMAGES = [image(seed) for seed in range(2 * BATCH - 1)]


def questions(model: Model) -> list[Question]:
    """Each with a threshold of its own, so that answers cannot be exchanged unseen."""
    return [Question(model, encoded, 1e-5 * (1 + index), 0.5) for index, encoded in enumerate(IMAGES)]


async def one_by_one(pool: Pool, asked: list[Question]) -> list[Answer]:
    return [await pool.detect(question) for question in asked]


async def at_once(pool: Pool, asked: list[Question]) -> list[Answer]:
    return list(await asyncio.gather(*(pool.detect(question) for question in asked)))


def assert_same(first: list[Answer], second: list[Answer]) -> None:
    assert all(len(answer.found.scores) for answer in first)
    for one, other in zip(first, second, strict=True):
        assert one.image_size == other.image_size == (70, 90)
        np.testing.assert_allclose(one.found.scores, other.found.scores, atol=1e-5)
        np.testing.assert_allclose(one.found.boxes, other.found.boxes, atol=0.01)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_several_at_once_have_the_boxes_of_each_alone(folder: Path, runtime: str) -> None:
    model = ModelWatcher(str(folder), runtime, "cpu", threads=2).model
    assert model.predictor.many_at_once == (runtime == "onnx")
    pool = Pool(2)
    assert_same(
        asyncio.run(one_by_one(pool, questions(model))),
        asyncio.run(at_once(pool, questions(model))),
    )


def test_a_single_request_gets_all_cores_and_concurrent_ones_get_one_each(folder: Path) -> None:
    model = ModelWatcher(str(folder), "onnx", "cpu", threads=2).model
    one_core: list[bool] = []
    predict_each = model.predictor.predict_each

    def recorded(images: Any, thresholds: Any, flag: bool = False) -> list[Detections]:
        one_core.append(flag)
        return predict_each(images, thresholds, flag)

    model.predictor.predict_each = recorded  # type: ignore[method-assign]
    asyncio.run(one_by_one(Pool(2), questions(model)))
    assert one_core == [False] * len(IMAGES)
    one_core.clear()
    asyncio.run(at_once(Pool(2), questions(model)))
    assert sorted(one_core) == [False] + [True] * (len(IMAGES) - 1)  # the first was alone when it came
    one_core.clear()
    asyncio.run(one_by_one(Pool(1), questions(model)))
    assert one_core == [True] * len(IMAGES)


class Counted:
    """A runtime that takes batches, as on a GPU; it is slow, so that more images come meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._whole = open_runtime(folder, "torch", "cpu")
        self.batches: list[int] = []

    def model(self) -> Model:
        slow: Runtime = dataclasses.replace(self._whole, decode=self._decode, batch=BATCH)
        return Model(Predictor(slow), "counted", "", 0.0)

    def _decode(self, images_BCHW):  # type: ignore[no-untyped-def]
        self.batches.append(len(images_BCHW))
        time.sleep(0.2)
        return self._whole.decode(images_BCHW)


def test_what_came_during_a_batch_is_the_next(folder: Path) -> None:
    counted = Counted(folder)
    alone = ModelWatcher(str(folder), "torch", "cpu").model
    pool = Pool(2)
    answers = asyncio.run(at_once(pool, questions(counted.model())))
    assert sum(counted.batches) == len(IMAGES) and max(counted.batches) == BATCH
    assert len(counted.batches) <= 4  # one by one they were seven
    assert_same(asyncio.run(one_by_one(Pool(2), questions(alone))), answers)


def test_images_are_decoded_while_a_batch_is_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a pool of one thread, as on a cluster: the network is held up until the next image is decoded."""
    counted = Counted(folder)
    model = counted.model()
    decoded = threading.Semaphore(0)
    is_overlapped: list[bool] = []

    def decode(encoded: bytes, name: str, *how: Any) -> ImageArray:
        pixels = decode_image(encoded, name, *how)
        decoded.release()
        return pixels

    def run(*given: Any) -> list[Detections]:
        if not is_overlapped:
            is_overlapped.append(decoded.acquire(timeout=10) and decoded.acquire(timeout=10))
        return predict_each(*given)

    predict_each = model.predictor.predict_each
    model.predictor.predict_each = run  # type: ignore[method-assign]
    monkeypatch.setattr("pipeline.serving.pool.decode_image", decode)
    asked = questions(model)[:2]

    async def ask() -> None:
        pool = Pool(1)
        first = asyncio.create_task(pool.detect(asked[0]))
        while not pool._batches:  # the first batch is under way
            await asyncio.sleep(0.01)
        await asyncio.gather(first, pool.detect(asked[1]))

    asyncio.run(ask())
    assert is_overlapped == [True]


def test_a_batch_that_fails_is_told_to_its_own_and_the_next_is_run(folder: Path) -> None:
    model = Counted(folder).model()
    bad = Question(model, IMAGES[0], 7.0, 0.5)  # no threshold
    pool = Pool(2)

    async def ask() -> Answer:
        with pytest.raises(Exception, match="expected a threshold from 0 to 1"):
            await pool.detect(bad)
        return await pool.detect(dataclasses.replace(bad, confidence=1e-5))

    assert len(asyncio.run(ask()).found.scores)


@pytest.mark.parametrize("batch", [False, True])
def test_an_image_that_cannot_be_decoded_is_refused_beside_others(folder: Path, batch: bool) -> None:
    model = Counted(folder).model() if batch else ModelWatcher(str(folder), "onnx", "cpu", threads=2).model
    good = questions(model)[:2]
    broken = dataclasses.replace(good[0], encoded=IMAGES[0][:-20])

    async def ask() -> list[Answer | BaseException]:
        pool = Pool(2)
        return list(
            await asyncio.gather(*(pool.detect(one) for one in (good[0], broken, good[1])), return_exceptions=True)
        )

    first, refused, second = asyncio.run(ask())
    assert isinstance(refused, Refused) and refused.status == 400 and "truncated" in refused.reason
    assert isinstance(first, Answer) and isinstance(second, Answer)
