"""Selection in the graph picks what `postprocess.select` picks, in ONNX Runtime and in OpenVINO."""

import ast
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yolox_core.conftest import SPEC, Forms
from yolox_core.config import ONNX_SPEC_KEY
from yolox_core.errors import InputError
from yolox_core.export.onnx_nms import NmsModel, _select_inside, export_nms
from yolox_core.inference.openvino_runtime import openvino_core
from yolox_core.inference.postprocess import select
from yolox_core.inference.runtimes import open_runtime
from yolox_core.structures import FloatArray

POINTS, CLASSES = 24, 3


@pytest.fixture(scope="module")
def with_nms(forms: Forms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("nms") / "model_nms.onnx"
    export_nms(forms.onnx, target, SPEC)
    return target


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    """The selection alone, behind a graph that hands its input on as predictions."""
    shape = ["batch", POINTS, 5 + CLASSES]
    images = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    made = onnx.helper.make_tensor_value_info("predictions", onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("Identity", ["images"], ["predictions"])
    graph = onnx.helper.make_graph([node], "nothing", [images], [made])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    _select_inside(proto, {"confidence": SPEC.confidence, "nms_iou": SPEC.nms_iou})
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def crowd(seed: int) -> np.ndarray:
    """Decoded predictions [2, A, 4+1+C]: boxes that crowd each other, all scores different; the second image empty."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-20, 30, (2, POINTS, 2))
    sides = generator.uniform(5, 40, (2, POINTS, 2))
    chances = generator.uniform(0.1, 1, (2, POINTS, 1 + CLASSES))
    chances[1, :, 0] = 0
    return np.concatenate((corners, corners + sides, chances), axis=2).astype(np.float32)


def check(got: tuple[np.ndarray, ...], decoded_A: FloatArray, confidence: float, nms_iou: float) -> int:
    """One image's detections are those of `select`, in its order; how many."""
    boxes, scores, labels = got
    expected = select(decoded_A, confidence, nms_iou)
    np.testing.assert_array_equal(labels, expected[:, 6].astype(np.int64))
    np.testing.assert_allclose(scores, expected[:, 4] * expected[:, 5], atol=1e-5)
    np.testing.assert_allclose(boxes, expected[:, :4], atol=2e-3)
    return len(expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), nms_iou=st.sampled_from([0.0, 0.3, 0.65, 1.0]), rank=st.integers(0, POINTS - 1))
def test_picks_what_select_picks(selection: onnxruntime.InferenceSession, seed: int, nms_iou: float, rank: int) -> None:
    """At a threshold that is the score of one of the points, which is kept: scores of at least so much are."""
    decoded = crowd(seed)
    score_A = decoded[0, :, 4] * decoded[0, :, 5:].max(axis=1)
    confidence = np.sort(score_A)[rank]
    thresholds = {"confidence": np.array(confidence), "nms_iou": np.array(nms_iou, np.float32)}
    boxes, scores, labels, counts = selection.run(None, {"images": decoded, **thresholds})
    assert boxes.shape == (2, max(1, *counts), 4)
    found = [
        check((boxes[i, :n], scores[i, :n], labels[i, :n]), decoded[i], float(confidence), nms_iou)
        for i, n in enumerate(counts)
    ]
    assert found[0] >= 1 and found[1] == 0
    assert (labels[1] == -1).all() and not scores[1].any() and not boxes[1].any()


def test_a_duplicate_goes_and_its_neighbour_of_another_class_stays(selection: onnxruntime.InferenceSession) -> None:
    decoded = np.zeros((1, POINTS, 5 + CLASSES), np.float32)
    decoded[0, :3, :4] = [10, 10, 30, 30]
    decoded[0, :3, 4] = [0.9, 0.8, 0.7]
    decoded[0, [0, 1, 2], [5, 5, 7]] = 1
    _, scores, labels, counts = selection.run(None, {"images": decoded})
    assert counts.tolist() == [2] and labels.tolist() == [[0, 2]]
    np.testing.assert_allclose(scores, [[0.9, 0.7]])


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("images", [1, 3])
def test_a_detector_with_its_own_thresholds(forms: Forms, with_nms: Path, runtime: str, images: int) -> None:
    batch = np.random.default_rng(images).integers(0, 256, (images, 3, *SPEC.input_size)).astype(np.float32)
    decoded_BA = open_runtime(forms.onnx, "onnx", "cpu").decode(batch)
    if runtime == "onnx":
        found = NmsModel(with_nms).run(batch)
    else:
        network = openvino_core().compile_model(str(with_nms), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        made = network(batch)
        boxes, scores, labels, counts = (made[name] for name in ("boxes", "scores", "labels", "counts"))
        found = [(boxes[i, :n], scores[i, :n], labels[i, :n]) for i, n in enumerate(counts)]
    counted = [check(found[i], decoded_BA[i], SPEC.confidence, SPEC.nms_iou) for i in range(images)]
    assert min(counted) > 3


def test_an_image_of_none_beside_one_of_many(forms: Forms, with_nms: Path) -> None:
    model = NmsModel(with_nms)
    even, noise = np.full((2, 3, *SPEC.input_size), 114, np.float32)
    noise[:] = np.random.default_rng(0).integers(0, 256, noise.shape)
    batch = np.stack((even, noise))
    decoded_BA = open_runtime(forms.onnx, "onnx", "cpu").decode(batch)
    low, high = sorted(float((image[:, 4] * image[:, 5:].max(axis=1)).max()) for image in decoded_BA)
    between = (low + high) / 2
    counted = [
        check(found, decoded_A, between, 0.65)
        for found, decoded_A in zip(model.run(batch, confidence=between, nms_iou=0.65), decoded_BA, strict=True)
    ]
    assert min(counted) == 0 < max(counted)
    assert [len(found[1]) for found in model.run(batch, confidence=1.0)] == [0, 0]


def test_says_what_it_is(forms: Forms, with_nms: Path) -> None:
    session = onnxruntime.InferenceSession(str(with_nms), providers=["CPUExecutionProvider"])
    plain = session.get_modelmeta().custom_metadata_map
    assert json.loads(plain[ONNX_SPEC_KEY]) == SPEC.to_dict()
    assert ast.literal_eval(plain["names"]) == dict(enumerate(SPEC.class_names))
    assert ast.literal_eval(plain["imgsz"]) == list(SPEC.input_size)
    assert (plain["stride"], plain["task"]) == ("32", "detect")
    assert [entry.name for entry in session.get_inputs()] == ["images"]
    assert {entry.name for entry in session.get_overridable_initializers()} == {"confidence", "nms_iou"}


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_is_not_taken_for_predictions(with_nms: Path, runtime: str) -> None:
    with pytest.raises(InputError, match=r"expected an output 'predictions', got boxes.*take model\.onnx"):
        open_runtime(with_nms, runtime, "cpu")
