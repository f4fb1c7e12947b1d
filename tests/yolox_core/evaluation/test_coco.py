"""COCO metrics: the corners, and that the quick library gives the figures of the authority."""

from typing import Any

import numpy as np
import pytest

from tests.yolox_core.evaluation.planted import detection, random_detections, random_truth, truth_of
from yolox_core.evaluation.coco import STATS, Backend, as_coco, measure

BACKENDS: tuple[Backend, ...] = ("pycocotools", "faster-coco-eval")
A, B = [10.0, 10.0, 110.0, 110.0], [200.0, 200.0, 320.0, 330.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_perfect_detections(backend: Backend) -> None:
    truth = truth_of([(A, 0, False), (B, 1, False)], [(B, 0, False)])
    found = [detection(0, A, 0), detection(0, B, 1), detection(1, B, 0)]
    result = measure(truth, found, backend)
    assert result.metrics == pytest.approx(
        {
            **dict.fromkeys(["map", "map_50", "map_75", "map_large"], 1.0),
            **dict.fromkeys(["ar_1", "ar_10", "ar_100"], 1.0),
            "class/zebra/map": 1.0,
            "class/ant/map": 1.0,
        }
    )  # no small or medium object, no yak: left out, not -1
    assert [(figures.name, figures.images, figures.boxes) for figures in result.classes] == [
        ("ant", 1, 1),
        ("zebra", 2, 2),
    ]
    for figures in result.classes:
        assert figures.precision_at_recall.tolist() == pytest.approx([1.0] * 101)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_detections(backend: Backend) -> None:
    truth = truth_of([(A, 0, False)], [([5.0, 5.0, 20.0, 20.0], 2, False)])
    result = measure(truth, [], backend)
    names = ["map", "map_50", "map_75", "map_small", "map_large", "ar_1", "ar_10", "ar_100"]
    assert result.metrics == dict.fromkeys([*names, "class/zebra/map", "class/yak/map"], 0.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("objects", [[], [(A, 0, True)]], ids=["no objects", "a crowd alone"])
def test_nothing_to_find_is_no_figure(backend: Backend, objects: list[Any]) -> None:
    for found in ([], [detection(0, A, 0)]):
        result = measure(truth_of(objects, []), found, backend)
        assert result.metrics == {} and result.classes == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_crowd_is_neither_missed_nor_a_mistake(backend: Backend) -> None:
    plain, crowded = truth_of([(A, 0, False)]), truth_of([(A, 0, False), (B, 0, True)])
    inside = [210.0, 210.0, 260.0, 260.0]
    found = [detection(0, A, 0, 0.5), detection(0, inside, 0, 0.9), detection(0, inside, 0, 0.8)]
    assert measure(crowded, found, backend).metrics["map"] == pytest.approx(1.0)
    assert measure(plain, found, backend).metrics["map"] == pytest.approx(1 / 3)
    (figures,) = measure(crowded, found, backend).classes
    assert figures.boxes == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_by_hand(backend: Backend) -> None:
    """Two objects; first a mistake, then one of them at IoU .9: precision 1/2 up to recall 1/2, at 9 thresholds."""
    truth = truth_of([(A, 0, False), (B, 0, False)])
    near = [10.0, 10.0, 110.0, 101.0]  # IoU .91
    found = [detection(0, [300.0, 0.0, 390.0, 90.0], 0, 0.9), detection(0, near, 0, 0.8)]
    result = measure(truth, found, backend)
    at_half = 51 / 101 * 0.5  # recalls 0, .01, ... .5
    assert result.metrics["map_50"] == pytest.approx(at_half)
    assert result.metrics["map"] == pytest.approx(0.9 * at_half)
    assert (result.metrics["ar_1"], result.metrics["ar_100"]) == pytest.approx((0.0, 0.45))
    (figures,) = result.classes
    assert figures.precision_at_recall.tolist() == pytest.approx([0.5] * 51 + [0.0] * 50)
    assert (figures.map_50, figures.ar_100) == pytest.approx((at_half, 0.45))


@pytest.mark.parametrize("seed", range(5))
def test_both_libraries_agree(seed: int) -> None:
    truth = random_truth(seed)
    found = random_detections(truth, seed + 100)
    authority, quick = (measure(truth, found, backend) for backend in BACKENDS)
    assert authority.metrics.keys() == quick.metrics.keys() >= {*STATS, "class/zebra/map"}
    assert 0.05 < authority.metrics["map"] < 0.9
    assert quick.metrics == pytest.approx(authority.metrics, abs=1e-9)
    assert "class/never seen/map" not in authority.metrics
    for ours, theirs in zip(quick.classes, authority.classes, strict=True):
        assert (ours.name, ours.images, ours.boxes) == (theirs.name, theirs.images, theirs.boxes)
        assert (ours.map, ours.map_50, ours.ar_100) == pytest.approx(
            (theirs.map, theirs.map_50, theirs.ar_100), abs=1e-9
        )
        np.testing.assert_allclose(ours.precision_at_recall, theirs.precision_at_recall, atol=1e-9)
    assert authority.metrics["map"] == pytest.approx(np.mean([figures.map for figures in authority.classes]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_detections_stay_as_they_were(backend: Backend) -> None:
    truth = truth_of([(A, 0, False)])
    found = [{**detection(0, A, 0), "file_name": "0.jpg", "category_name": "zebra"}]
    before = [dict(entry) for entry in found]
    measure(truth, found, backend)
    assert found == before


def test_as_coco() -> None:
    plain = as_coco(truth_of([], [(A, 1, True)]))
    assert plain["annotations"] == [
        {"id": 1, "image_id": 101, "category_id": 7, "bbox": [10, 10, 100, 100], "area": 10000, "iscrowd": 1}
    ]
    assert [image["id"] for image in plain["images"]] == [100, 101]
    assert [category["id"] for category in plain["categories"]] == [44, 7, 90, 3]
