"""More objects of a class in an image than COCO counts: `map` is COCO's own, and what decides is measured on all."""

import contextlib
import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from tests.yolox_core.evaluation.planted import detection, random_detections, random_truth, truth_of
from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation.bootstrap import compare
from yolox_core.evaluation.coco import Backend, as_pair, measure
from yolox_core.evaluation.detection_limit import CEILING, LIMIT, UNLIMITED, ceiling, crowded, deciding, limit
from yolox_core.evaluation.matching import match_detections

BACKENDS: tuple[Backend, ...] = ("pycocotools", "faster-coco-eval")
Detections = list[dict[str, Any]]


def crowd(*counts: int, label: int = 0) -> list[tuple[list[float], int, bool]]:
    """So many objects side by side; of several numbers, the next class each."""
    return [
        ([place % 20 * 20.0, place // 20 * 20.0, place % 20 * 20.0 + 16, place // 20 * 20.0 + 16], label + shift, False)
        for shift, count in enumerate(counts)
        for place in range(count)
    ]


def perfect(truth: DatasetRecords) -> Detections:
    return [
        detection(number, box, label, 0.99 - place * 0.001)
        for number, image in enumerate(truth.images)
        for place, (box, label, ignored) in enumerate(image.objects.rows())
        if not ignored
    ]


@pytest.fixture
def cells() -> DatasetRecords:
    """As bugs/crowded.py of the report: six images of 250 objects, six of 100."""
    return truth_of(*(crowd(count) for count in (250, 100) * 6))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_perfect_detector_reaches_the_ceiling_and_one_without_limit(cells: DatasetRecords, backend: Backend) -> None:
    metrics = measure(cells, perfect(cells), backend).metrics
    assert metrics["map"] == metrics["map_50"] == pytest.approx(58 / 101)
    assert metrics[CEILING] == ceiling(cells.images) == pytest.approx(58 / 101)
    assert metrics[UNLIMITED] == deciding(metrics) == pytest.approx(1.0)


@pytest.mark.parametrize("counts", [(101,), (150, 3), (100, 101, 400), (200, 0, 120), (1000,)])
def test_the_ceiling_is_what_a_perfect_detector_measures(counts: tuple[int, ...]) -> None:
    truth = truth_of(crowd(*counts), crowd(7), crowd(*counts[::-1]), [])
    assert measure(truth, perfect(truth)).metrics["map"] == pytest.approx(ceiling(truth.images), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_all_figures_without_limit_are_those_of_pycocotools(seed: int) -> None:
    """COCO's figures are to the bit what they are without ours beside them; all ways of measuring agree on ours."""
    truth = random_truth(seed, 6)
    truth = DatasetRecords(truth.image_root, truth.categories, [*truth.images, *truth_of(crowd(130, 20)).images])
    truth.images[-1] = truth_of(*([[]] * 6), crowd(130, 20)).images[-1]
    rng = np.random.default_rng(seed)
    found = random_detections(truth, seed)
    found += [detection(6, box, label, float(rng.random())) for box, label, _ in crowd(130, 20) for _ in range(2)]
    most = max(Counter((entry["image_id"], entry["category_id"]) for entry in found).values())
    assert limit(truth, found) == most > LIMIT
    for backend in BACKENDS:
        figures = measure(truth, found, backend).metrics
        own, whole = (by_hand(truth, found, maximum) for maximum in (LIMIT, most))
        assert figures["map"] == (own if backend == "pycocotools" else pytest.approx(own, abs=1e-12))
        assert figures[UNLIMITED] == pytest.approx(whole, abs=1e-12) and whole > own
    compared = compare(truth, found, found[::2], resamples=20)
    assert compared.figure == UNLIMITED and compared.overall.first == pytest.approx(whole, abs=1e-12)
    matched = match_detections(truth, found)[-1]
    assert len(matched.scores_D) == sum(entry["image_id"] == matched.image_id for entry in found)


def by_hand(truth: DatasetRecords, found: Detections, most: int) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*as_pair(truth, found), "bbox")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    return float(np.mean(precision[precision > -1]))


def test_where_the_limit_does_not_bind_nothing_is_added() -> None:
    truth = truth_of(
        crowd(100, 100), [*crowd(60), *crowd(60, label=1)], [*crowd(90), ([0.0, 0.0, 50.0, 50.0], 0, True)]
    )
    found = perfect(truth) * 2  # more detections than count, but no more objects
    metrics = measure(truth, found).metrics
    assert not {UNLIMITED, CEILING} & set(metrics) and not crowded(truth.images)
    assert deciding(metrics) == metrics["map"] and ceiling(truth.images) == 1.0 and limit(truth, found) == LIMIT
    assert compare(truth, found, found, resamples=5).figure == "map"


def test_the_better_of_two_is_better_only_without_limit(cells: DatasetRecords) -> None:
    """Both find a hundred objects of each image; one goes on and finds the others, too."""
    full = perfect(cells)
    half = [entry for entry in full if entry["score"] > 0.89 - 1e-9]
    assert measure(cells, full).metrics["map"] == pytest.approx(measure(cells, half).metrics["map"])
    found = compare(cells, full, half, resamples=50)
    assert found.overall.low > 0.2


def test_what_decides() -> None:
    assert deciding({}) is None and deciding({"map": 0.5}) == 0.5
    assert deciding({"map": 0.5, UNLIMITED: 0.7}) == 0.7
    assert deciding({"map": 0.5, "map_50": 0.6, UNLIMITED: 0.7}, "map_50") == 0.6
