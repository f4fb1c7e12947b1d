"""The bootstrap: its maps are the authority's, a weight is a repetition, and its interval tells better from equal."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.yolox_core.evaluation.test_coco import detection, random_detections, random_truth, truth_of
from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation import bootstrap
from yolox_core.evaluation.bootstrap import compare, maps
from yolox_core.evaluation.coco import measure

A, B = [10.0, 10.0, 110.0, 110.0], [200.0, 200.0, 320.0, 330.0]


def repeated(
    truth: DatasetRecords, found: list[dict[str, Any]], weights: list[int]
) -> tuple[DatasetRecords, list[dict[str, Any]]]:
    """The slow twin of a weight: every image as often as it weighs, with detections of its own."""
    images, detections = [], []
    for record, weight in zip(truth.images, weights, strict=True):
        for _ in range(weight):
            images.append(dataclasses.replace(record, image_id=1000 + len(images)))
            own = [entry for entry in found if entry["image_id"] == record.image_id]
            detections += [{**entry, "image_id": images[-1].image_id} for entry in own]
    return dataclasses.replace(truth, images=images), detections


@pytest.mark.parametrize("seed", range(4))
def test_the_maps_are_those_of_pycocotools(seed: int) -> None:
    truth = random_truth(seed)
    assert any(not len(image.objects) for image in truth.images)
    assert any(image.objects.ignore_G.any() for image in truth.images)
    pair = [random_detections(truth, seed + add) for add in (100, 200)]
    result = compare(truth, *pair, resamples=10)
    for which, found in zip(("first", "second"), pair, strict=True):
        expected = measure(truth, found).metrics
        assert getattr(result.overall, which) == pytest.approx(expected["map"], abs=1e-12)
        by_class = {f"class/{name}/map": getattr(one, which) for name, one in result.classes.items()}
        assert by_class == pytest.approx({name: v for name, v in expected.items() if "class/" in name}, abs=1e-12)
    assert set(result.classes) == {"zebra", "ant", "yak"}  # not the one that is never seen


@pytest.mark.parametrize("seed", range(4))
def test_a_weight_is_a_repetition(seed: int) -> None:
    truth = random_truth(seed, images=12)
    rng = np.random.default_rng(seed)
    found = [{**entry, "score": float(rng.random())} for entry in random_detections(truth, seed)]  # no two alike
    weights = rng.multinomial(12, np.full(12, 1 / 12), 3)
    fast = maps(bootstrap._match(truth, found), weights.astype(np.int32))
    for row, drawn in zip(fast.T, weights.tolist(), strict=True):
        expected = measure(*repeated(truth, found, drawn)).metrics
        names = ["never seen", "ant", "zebra", "yak"]  # by category id
        by_class = {f"class/{name}/map": value for name, value in zip(names, row, strict=True) if not np.isnan(value)}
        assert by_class == pytest.approx({name: v for name, v in expected.items() if "class/" in name}, abs=1e-12)


def test_equal_detectors_have_no_interval() -> None:
    truth = random_truth(1)
    found = random_detections(truth, 2)
    result = compare(truth, found, [dict(entry) for entry in found], resamples=50)
    for one in (result.overall, *result.classes.values()):
        assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)


def test_better_is_told_from_worse_and_both_from_luck() -> None:
    truth = random_truth(3, images=40)
    good = random_detections(truth, 4)
    poor = [entry for at, entry in enumerate(good) if at % 3]  # a third is lost
    lucky = [{**entry, "bbox": [entry["bbox"][0] + 0.3, *entry["bbox"][1:]]} for entry in good]
    better, worse = compare(truth, good, poor, 400), compare(truth, poor, good, 400)
    assert 0 < better.overall.low < better.overall.difference < better.overall.high
    assert (worse.overall.low, worse.overall.high) == pytest.approx((-better.overall.high, -better.overall.low))
    alike = compare(truth, lucky, good, 400).overall
    assert alike.low < 0 < alike.high
    assert compare(truth, good, poor, 400) == better  # seeded
    assert compare(truth, good, poor, 400, seed=1) != better


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = random_truth(5)
    pair = [random_detections(truth, seed) for seed in (1, 2)]
    whole = compare(truth, *pair, resamples=30)
    monkeypatch.setattr(bootstrap, "CELLS", 7000)
    assert compare(truth, *pair, resamples=30) == whole


def test_a_class_that_a_resample_lacks_is_left_out_of_its_mean() -> None:
    truth = truth_of([(A, 0, False)], [(B, 1, False)])
    everything = [detection(0, A, 0), detection(1, B, 1)]
    overall = compare(truth, everything, [], resamples=100).overall
    assert (overall.low, overall.high) == pytest.approx((1.0, 1.0))  # counted as 0 it would be 1/2 in half of them


def test_no_detections_are_a_map_of_0() -> None:
    truth = truth_of([(A, 0, False)], [(B, 0, False)], [])
    result = compare(truth, [detection(0, A, 0), detection(1, B, 0)], [], resamples=200)
    assert (result.overall.first, result.overall.second) == pytest.approx((1.0, 0.0))
    assert result.overall.low == pytest.approx(1.0)
    assert result.images == 3
