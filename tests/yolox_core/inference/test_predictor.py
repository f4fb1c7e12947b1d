"""The same detections from every form of a model, in pixels of the source image."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.data.synthetic.scenes import scene
from tests import needs
from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.data.image_io import decode_image, read_image
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtimes import open_runtime
from yolox_core.ops.anchors import decode
from yolox_core.structures import Detections, ImageArray


@pytest.fixture(scope="module")
def image() -> ImageArray:
    encoded, _ = scene(seed=1, index=0)
    return decode_image(encoded, "scene")


def assert_close(first: Detections, second: Detections, atol: float = 1e-3) -> None:
    assert first.labels.tolist() == second.labels.tolist()
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-4, rtol=0)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=atol, rtol=0)


def test_every_form_finds_the_same(forms: Forms, image: ImageArray) -> None:
    released = Predictor.load(forms.released)
    (expected,) = released.predict([image])
    assert 5 < len(expected) < 252 and len(set(expected.labels.tolist())) > 1
    assert (np.diff(expected.scores) <= 0).all() and expected.scores.min() >= SPEC.confidence
    for path in (forms.pt, forms.onnx):
        other = Predictor.load(str(path))
        assert other.spec == SPEC
        assert_close(other.predict([image])[0], expected)
    # Megvii's files say neither names nor size nor thresholds
    other = Predictor.load(forms.pth)
    assert other.spec.class_names == ("class_0", "class_1", "class_2") and other.spec.input_size == (640, 640)
    runtime = open_runtime(forms.pth, None, "cpu")
    same_size = Predictor(replace(runtime, spec=replace(runtime.spec, input_size=SPEC.input_size)))
    assert_close(same_size.predict([image], SPEC.confidence, SPEC.nms_iou)[0], expected)


def test_a_checkpoint_gives_its_average(forms: Forms) -> None:
    raw = torch.load(forms.pt, weights_only=True)["model"]
    assert any(not torch.equal(raw[name], tensor) for name, tensor in forms.model.state_dict().items())
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)  # of the input size already
    with torch.no_grad():
        expected = decode(forms.model(torch.from_numpy(image).permute(2, 0, 1)[None].float()), SPEC.input_size)[0]
    np.testing.assert_allclose(Predictor.load(forms.pt).decoded(image), expected.numpy(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("form", ["released", "onnx"])
def test_a_batch_of_different_sizes(forms: Forms, image: ImageArray, form: str) -> None:
    """Each image of a batch gives what it gives alone, boxes within its own frame."""
    predictor = Predictor.load(getattr(forms, form))
    images = [image, image[:50], np.ascontiguousarray(image[:, :37]), np.zeros((1, 1, 3), np.uint8)]
    together = predictor.predict(images, confidence=0.35)
    assert len(together) == 4
    for one, found in zip(images, together, strict=True):
        assert_close(found, predictor.predict([one], confidence=0.35)[0], atol=0.01)
        height, width = one.shape[:2]
        boxes = found.boxes
        assert (boxes >= 0).all() and (boxes[:, [0, 2]] <= width).all() and (boxes[:, [1, 3]] <= height).all()
    assert sum(len(found) > 0 for found in together) >= 3
    assert predictor.predict([]) == []


def test_boxes_scale_with_the_source(forms: Forms) -> None:
    """The same picture twice as large has the same boxes twice as large; each pixel repeated, both fit the input."""
    predictor = Predictor.load(forms.released)
    small = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    (found,), (again,) = predictor.predict([small]), predictor.predict([large])
    assert len(found) > 0
    assert_close(again, replace(found, boxes=found.boxes * 2), atol=0.01)


def test_grey_and_transparent_images(forms: Forms, image: ImageArray, tmp_path: Path) -> None:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack((image, np.full_like(grey, 128))))
    predictor = Predictor.load(forms.released)
    (from_grey,) = predictor.predict([read_image(tmp_path / "grey.png")])
    assert_close(from_grey, predictor.predict([cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)])[0])
    assert_close(predictor.predict([read_image(tmp_path / "alpha.png")])[0], predictor.predict([image])[0])


@pytest.mark.parametrize("name", ["confidence", "nms_iou"])
@pytest.mark.parametrize("value", [-0.1, 1.1, 30.0])
def test_a_threshold_out_of_range_is_refused(forms: Forms, image: ImageArray, name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a threshold from 0 to 1"):
        Predictor.load(forms.released).predict([image], **{name: value})


def test_thresholds(forms: Forms, image: ImageArray) -> None:
    predictor = Predictor.load(forms.released)
    (everything,) = predictor.predict([image], confidence=0.0, nms_iou=1.0)
    assert len(everything) == 252
    (strict,) = predictor.predict([image], confidence=1.0)
    assert len(strict) == 0


def test_what_is_no_onnx_model_is_refused(forms: Forms, tmp_path: Path) -> None:
    import onnx

    with pytest.raises(InputError, match="no such model"):
        Predictor.load(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(InputError, match="not an ONNX model"):
        Predictor.load(tmp_path / "text.onnx")
    plain = onnx.load(forms.onnx)
    del plain.metadata_props[:]
    onnx.save(plain, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="without the entry"):
        Predictor.load(tmp_path / "foreign.onnx")


@pytest.mark.parametrize("form", ["released", "onnx"])
def test_a_stream_gives_what_single_images_give(forms: Forms, image: ImageArray, tmp_path: Path, form: str) -> None:
    """In order, whether it comes as pixels or as files; a broken file is one answer among the others."""
    predictor = Predictor.load(getattr(forms, form))
    images = [image, image[:50], np.ascontiguousarray(image[:, :37]), image[:, ::-1].copy()] * 5
    sources: list[Path | ImageArray] = list(images)
    cv2.imwrite(str(tmp_path / "first.png"), image)
    sources[0] = tmp_path / "first.png"
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    sources[7] = tmp_path / "broken.jpg"
    sources[11] = tmp_path / "absent.jpg"
    answers = list(predictor.stream(sources, confidence=0.35))
    assert len(answers) == len(sources)
    for place, (answer, one) in enumerate(zip(answers, images, strict=True)):
        if place in (7, 11):
            assert isinstance(answer, InputError) and str(sources[place]) in str(answer)
            continue
        assert not isinstance(answer, InputError)
        assert np.array_equal(answer[0], one)
        assert_close(answer[1], predictor.predict([one], confidence=0.35)[0], atol=0.01)
    assert list(predictor.stream([])) == []
    with pytest.raises(InputError, match="nms_iou"):
        predictor.stream([], nms_iou=2.0)  # before anything is read


@pytest.mark.parametrize("form", ["released", "onnx"])
def test_a_stream_reads_only_a_little_ahead(forms: Forms, image: ImageArray, form: str) -> None:
    taken = 0

    def source() -> Iterator[ImageArray]:
        nonlocal taken
        while True:
            taken += 1
            yield image

    stream = Predictor.load(getattr(forms, form)).stream(source())
    for _ in range(5):
        next(stream)
    assert taken < 5 + 4 * torch.get_num_threads() + 2
    stream.close()  # who stops reading stops the work


@pytest.mark.parametrize(("form", "batch"), [("released", 1), ("released", 8), ("onnx", 1)])
def test_an_error_of_the_source_comes_after_what_was_done(
    forms: Forms, image: ImageArray, form: str, batch: int
) -> None:
    def source() -> Iterator[ImageArray]:
        for _ in range(12):
            yield image
        raise OSError("camera gone")

    answers = 0
    with pytest.raises(OSError, match="camera gone"):
        for _ in Predictor(replace(open_runtime(getattr(forms, form), None, "cpu"), batch=batch)).stream(source()):
            answers += 1
    assert answers == 12


def test_what_is_no_image_is_refused_in_its_place(forms: Forms, image: ImageArray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), image)
    odd: list[Any] = [image[..., :2], image.astype(np.float32), image[:0], None]
    predictor = Predictor.load(forms.onnx)
    answers = list(predictor.stream([*odd, str(tmp_path / "good.png")]))
    for answer in answers[:-1]:
        assert isinstance(answer, InputError) and re.match("image: expected .*, got", str(answer))
    assert not isinstance(answers[-1], InputError)
    with pytest.raises(InputError, match="got float32"):
        predictor.predict([image.astype(np.float32)])


@pytest.mark.parametrize("runtime", ["torch", "onnx", "openvino"])
def test_each_with_thresholds_of_its_own_gives_what_it_gives_alone(
    forms: Forms, image: ImageArray, runtime: str
) -> None:
    if runtime == "openvino":
        needs.module("openvino")
    predictor = Predictor.load(forms.released if runtime == "torch" else forms.onnx, runtime=runtime)
    images = [image, image[:50], np.ascontiguousarray(image[:, :37])]
    thresholds = [(None, None), (0.4, 0.3), (0.2, None)]
    together = predictor.predict_each(images, thresholds)
    for one, pair, found in zip(images, thresholds, together, strict=True):
        assert_close(found, predictor.predict([one], *pair)[0], atol=0.01)
        assert_close(found, predictor.predict_each([one], [pair], one_core=True)[0], atol=0.01)
    assert predictor.predict_each([], []) == []
    with pytest.raises(InputError, match="nms_iou"):
        predictor.predict_each([image], [(None, 1.5)])
