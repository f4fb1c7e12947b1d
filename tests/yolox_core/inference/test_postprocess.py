"""From decoded predictions to detections: thresholds, suppression within a class, back to the source image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms as nms_of_torchvision

from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.errors import InputError
from yolox_core.inference.postprocess import nms, select, to_source
from yolox_core.ops.anchors import decode
from yolox_core.structures import FloatArray

SPEC = DetectorSpec(ModelConfig(2, width=0.125), ("cat", "dog"), (3, 18), (64, 64))
Row = tuple[list[float], float, list[float]]  # box xyxy, objectness, class probabilities


def decoded(*rows: Row) -> FloatArray:
    return np.array([[*box, objectness, *classes] for box, objectness, classes in rows], np.float32)


BOX, SHIFTED = [10.0, 10.0, 50.0, 50.0], [12.0, 10.0, 52.0, 50.0]  # IoU 38/42 = .905


@pytest.mark.parametrize("name", ["confidence", "nms_iou"])
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_a_threshold_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a threshold from 0 to 1"):
        select(decoded((BOX, 1.0, [1.0])), **{"confidence": 0.3, "nms_iou": 0.5, name: value})


def test_suppression_stays_within_a_class() -> None:
    predictions = decoded((BOX, 0.9, [0.8, 0.1]), (SHIFTED, 0.8, [0.1, 0.9]), (SHIFTED, 0.7, [0.9, 0.1]))
    rows = select(predictions, 0.3, 0.65)
    assert rows[:, 6].tolist() == [0.0, 1.0]  # both classes; the weaker of the two of class 0 is gone
    np.testing.assert_allclose(rows[0], [*BOX, 0.9, 0.8, 0.0])
    assert len(select(predictions, 0.3, 0.95)) == 3  # they overlap by less than that


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 60),
    classes=st.integers(1, 3),
    iou=st.sampled_from([0.0, 0.3, 0.45, 0.65, 1.0]),
)
def test_suppression_is_that_of_torchvision_within_each_class(seed: int, count: int, classes: int, iou: float) -> None:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-30, 60, (count, 2))
    boxes = np.concatenate((corners, corners + generator.uniform(1, 40, (count, 2))), axis=1).astype(np.float32)
    scores = generator.permutation(np.linspace(0, 1, count)).astype(np.float32)
    labels = generator.integers(0, classes, count)
    kept = nms(boxes, scores, labels, iou)
    expected: list[int] = []
    for label in range(classes):
        own = np.flatnonzero(labels == label)
        best = nms_of_torchvision(torch.from_numpy(boxes[own]), torch.from_numpy(scores[own]), iou).numpy()
        expected += own[best].tolist()
    assert kept.tolist() == sorted(expected, key=lambda index: -scores[index])


def test_boxes_beyond_the_image_suppress_none_of_another_class() -> None:
    """As they may where classes are shifted apart by the largest coordinate, which torchvision's `batched_nms` does."""
    boxes = np.array([[-400, -400, -390, -390], [-390, -390, -1, -1], [1, 1, 9, 9]], np.float32)
    assert len(nms(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 2]), 0.0)) == 3


def test_a_box_without_area_or_without_end_suppresses_nothing() -> None:
    """As in torchvision, where such an overlap is no number; a network that has just begun gives both."""
    nothing, endless = [5.0, 5.0, 5.0, 5.0], [-np.inf, 0.0, np.inf, 50.0]
    boxes = np.array([nothing, [70.0, 7.0, 70.0, 9.0], endless, endless, BOX, SHIFTED, [np.nan] * 4], np.float32)
    scores = np.linspace(0.9, 0.3, len(boxes)).astype(np.float32)
    with np.errstate(all="raise"):
        kept = nms(boxes, scores, np.zeros(len(boxes), np.int64), 0.5)
    assert kept.tolist() == [0, 1, 2, 3, 4, 6]
    expected = nms_of_torchvision(torch.from_numpy(boxes[[0, 1, 4, 5]]), torch.from_numpy(scores[[0, 1, 4, 5]]), 0.5)
    assert expected.tolist() == [0, 1, 2]


def test_a_box_that_is_no_number_is_no_detection() -> None:
    assert len(select(decoded(([math.nan] * 4, 0.9, [0.9]), (BOX, 0.9, [0.9])), 0.3, 0.65)) == 1


def test_scores_of_nothing_stay_at_a_threshold_of_nothing() -> None:
    far = [200.0, 200.0, 220.0, 220.0]
    assert len(select(decoded((BOX, 0.0, [0.5]), (far, 0.5, [0.0])), 0.0, 0.65)) == 2


def test_score_is_objectness_times_class_and_the_threshold_is_kept() -> None:
    far = [200.0, 200.0, 220.0, 220.0]
    predictions = decoded((BOX, 0.5, [0.5]), (far, 0.5, [0.25]))
    assert len(select(predictions, 0.25, 0.65)) == 1  # at the threshold
    assert len(select(predictions, 0.2501, 0.65)) == 0
    assert len(select(predictions, 0.125, 0.65)) == 2


def test_best_first() -> None:
    rows = [([40.0 * i, 0.0, 40.0 * i + 20, 20.0], score, [1.0]) for i, score in enumerate([0.3, 0.9, 0.5, 0.7])]
    assert select(decoded(*rows), 0.0, 0.5)[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.5, 0.3])


def test_nothing_above_the_threshold_is_an_empty_result() -> None:
    found = to_source(select(decoded((BOX, 0.1, [0.1, 0.2])), 0.5, 0.65), 0.5, (100, 100), SPEC)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)
    assert found.to_json("a.jpg") == []


def test_scaled_back_and_clipped_to_the_source() -> None:
    rows = select(decoded(([-5.0, 10.0, 30.0, 80.0], 1.0, [0.0, 0.6])), 0.1, 0.65)
    found = to_source(rows, 0.5, (120, 50), SPEC)  # height, width
    assert found.boxes.tolist() == [[0.0, 20.0, 50.0, 120.0]]
    assert found.scores.tolist() == pytest.approx([0.6])
    (entry,) = found.to_json("a.jpg", 7)
    assert [entry] == found.to_json("a.jpg", 7, ("cat", "dog"), (3, 18)), "as models registered before call it"
    assert entry.pop("score") == pytest.approx(0.6)
    assert entry == {
        "file_name": "a.jpg",
        "image_id": 7,
        "category_id": 18,
        "category_name": "dog",
        "bbox": [0.0, 20.0, 50.0, 100.0],
    }


def test_decode_gives_boxes_then_probabilities() -> None:
    raw = torch.zeros(2, 21, 7)
    raw[..., 6] = math.log(3)
    result = decode(raw.bfloat16(), (32, 32))
    assert result.shape == (2, 21, 7) and result.dtype == torch.float32
    torch.testing.assert_close(result[0, 0, :4], torch.tensor([-4.0, -4.0, 4.0, 4.0]))
    torch.testing.assert_close(result[0, 0, 4:], torch.tensor([0.5, 0.5, 0.75]), atol=3e-3, rtol=0)
