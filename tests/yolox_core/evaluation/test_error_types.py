"""Mistakes by cause, held against a slow twin box by box, and their costs against pycocotools on mended detections."""

from typing import Any

import numpy as np
import pytest

from tests.yolox_core.evaluation.planted import detection, random_detections, random_truth, truth_of
from yolox_core.data.records import DatasetRecords
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detection_limit import LIMIT
from yolox_core.evaluation.error_types import CAUSES, IOU, NEAR, causes, costs, count, ledger, map_50
from yolox_core.evaluation.matching import IN_CROWD, match_detections

A, B, FAR = [10.0, 10.0, 110.0, 110.0], [200.0, 200.0, 320.0, 330.0], [340.0, 0.0, 390.0, 50.0]
NEAR_A = [10.0, 10.0, 110.0, 101.0]  # IoU .91
POOR_A = [10.0, 10.0, 110.0, 40.0]  # IoU .3
CLASSES = 4


@pytest.mark.parametrize(
    ("box", "label", "cause"),
    [
        (NEAR_A, 0, "right"),
        (NEAR_A, 1, "wrong_class"),
        (POOR_A, 0, "poor_box"),
        (POOR_A, 1, "both"),
        (FAR, 0, "background"),
    ],
)
def test_one_detection_of_one_object(box: list[float], label: int, cause: str) -> None:
    found = match_detections(truth_of([(A, 0, False)]), [detection(0, box, label)])
    missed = cause in (
        "both",
        "background",
    )  # a wrong class or a poor box means the object, so it is not missed as well
    assert count(found, 0.5) == dict.fromkeys(["right", *CAUSES], 0) | {cause: 1} | ({"missed": 1} if missed else {})


def test_a_second_detection_of_an_object_is_a_duplicate() -> None:
    found = match_detections(truth_of([(A, 0, False)]), [detection(0, NEAR_A, 0, 0.6), detection(0, A, 0, 0.5)])
    assert [int(code) for code in causes(found[0]).cause_D] == [-1, CAUSES.index("duplicate")]
    assert count(found, 0.55)["duplicate"] == 0


def test_what_lies_in_a_crowd_is_no_mistake_and_a_crowd_is_not_missed() -> None:
    found = match_detections(truth_of([(B, 0, True)], []), [detection(0, [210.0, 210.0, 260.0, 260.0], 0)])
    assert found[0].found_D.tolist() == [IN_CROWD]
    assert not any(count(found, 0.0).values())


def test_nothing_at_all() -> None:
    assert not any(count(match_detections(truth_of([]), []), 0.0).values())
    empty = match_detections(truth_of([], [(A, 2, True)]), [detection(0, A, 1)])
    assert count(empty, 0.0)["background"] == 1
    assert all(np.isnan(cost) for cost in costs(empty, CLASSES).values())


def test_no_detections_costs_everything_by_missing() -> None:
    found = match_detections(truth_of([(A, 0, False), (B, 1, False)]), [])
    assert costs(found, CLASSES) == dict.fromkeys(CAUSES, 0.0) | {"missed": 1.0}


def slow_iou(first: list[float], second: list[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def corners(entry: dict[str, Any]) -> list[float]:
    x, y, width, height = entry["bbox"]
    return [x, y, x + width, y + height]


def slow_causes(truth: DatasetRecords, entries: list[dict[str, Any]]) -> list[tuple[str, int, dict[str, Any]]]:
    """(cause, image, detection) one by one, as the paper says it; a missed object stands as (`missed`, image, {})."""
    said = []
    for image in truth.images:
        objects = [(box, truth.category_ids[label], crowd) for box, label, crowd in image.objects.rows()]
        plain = [index for index, (_, _, crowd) in enumerate(objects) if not crowd]
        free, meant = set(plain), set()
        own = [entry for entry in entries if entry["image_id"] == image.image_id]
        seen: dict[int, int] = {}
        for entry in sorted(own, key=lambda entry: -float(entry["score"])):
            category, box = entry["category_id"], corners(entry)
            seen[category] = seen.get(category, 0) + 1
            if seen[category] > LIMIT:
                continue
            same = {index: slow_iou(box, objects[index][0]) for index in plain if objects[index][1] == category}
            other = {index: slow_iou(box, objects[index][0]) for index in plain if objects[index][1] != category}
            open_ = {index: iou for index, iou in same.items() if index in free and iou >= IOU}
            target = max(open_ or same or {-1: 0.0}, key=lambda index: (open_ or same or {-1: 0.0})[index])
            best_own, best_other = max(same.values(), default=0.0), max(other.values(), default=0.0)
            if open_:
                free.remove(target)
                cause = "right"
            elif in_crowd(box, category, objects):
                continue
            elif best_own >= IOU:
                cause = "duplicate"
            elif best_other >= IOU:
                cause, target = "wrong_class", max(other, key=lambda index: other[index])
            elif best_own >= NEAR:
                cause = "poor_box"
            else:
                cause = "both" if best_other >= NEAR else "background"
            if cause in ("right", "wrong_class", "poor_box"):
                meant.add(target)
            said.append((cause, image.image_id, {**entry, "object": target}))
        said += [("missed", image.image_id, {"object": index}) for index in plain if index not in meant]
    return said


def in_crowd(box: list[float], category: int, objects: list[tuple[list[float], int, bool]]) -> bool:
    for crowd, of, is_crowd in objects:
        width = min(box[2], crowd[2]) - max(box[0], crowd[0])
        height = min(box[3], crowd[3]) - max(box[1], crowd[1])
        area = (box[2] - box[0]) * (box[3] - box[1])
        if is_crowd and of == category and min(width, height) > 0 and width * height / area >= IOU:
            return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_causes_are_those_of_the_slow_twin(seed: int) -> None:
    truth = random_truth(seed)
    entries = random_detections(truth, seed + 100)
    for score in (0.0, 0.3):
        slow = slow_causes(truth, [entry for entry in entries if entry["score"] >= score])
        names = [cause for cause, _, _ in slow]
        expected = {name: names.count(name) for name in ("right", *CAUSES)}
        assert count(match_detections(truth, entries), score) == expected
        assert all(expected.values())


@pytest.mark.parametrize("seed", range(4))
def test_map_50_is_the_authoritys(seed: int) -> None:
    truth = random_truth(seed)
    entries = random_detections(truth, seed + 100)
    assert max(sum(entry["image_id"] == image.image_id for entry in entries) for image in truth.images) > 100
    ours = map_50(ledger(match_detections(truth, entries), CLASSES))
    assert ours == pytest.approx(measure(truth, entries).metrics["map_50"], abs=1e-9)


def mended(truth: DatasetRecords, entries: list[dict[str, Any]], cause: str) -> list[dict[str, Any]]:
    """The detections as a person would correct them: each mistake of this cause put right, or thrown away."""
    mended_: list[tuple[tuple[int, int] | None, dict[str, Any]]] = []  # the object claimed, the detection
    images = {image.image_id: image for image in truth.images}
    for said, image, entry in slow_causes(truth, entries):
        claim = (image, entry["object"])
        if said == cause and cause in ("wrong_class", "poor_box"):
            box = images[image].objects.boxes_G4[entry["object"]].tolist()
            category = truth.category_ids[int(images[image].objects.labels_G[entry["object"]])]
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]] if cause == "poor_box" else entry["bbox"]
            mended_.append((claim, {**entry, "category_id": category, "bbox": bbox}))
        elif said not in (cause, "missed"):
            mended_.append((claim if said == "right" else None, entry))
    best: dict[tuple[int, int], dict[str, Any]] = {}  # of equal ones the first
    for claimed, entry in mended_:
        if claimed and (claimed not in best or entry["score"] > best[claimed]["score"]):
            best[claimed] = entry
    return [entry for claimed, entry in mended_ if claimed is None or entry is best[claimed]]


@pytest.mark.parametrize("cause", [name for name in CAUSES if name != "missed"])
@pytest.mark.parametrize("seed", range(3))
def test_a_cost_is_what_the_authority_says_of_mended_detections(seed: int, cause: str) -> None:
    truth = random_truth(seed)
    entries = random_detections(truth, seed + 100)
    gained = measure(truth, mended(truth, entries, cause)).metrics["map_50"] - measure(truth, entries).metrics["map_50"]
    assert gained > 0
    assert costs(match_detections(truth, entries), CLASSES)[cause] == pytest.approx(gained, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_cost_of_missing_is_what_the_authority_says_without_the_missed(seed: int) -> None:
    truth = random_truth(seed)
    entries = [entry for entry in random_detections(truth, seed + 100) if entry["score"] > 0.45]
    missed = {(image, entry["object"]) for cause, image, entry in slow_causes(truth, entries) if cause == "missed"}
    left = truth_of(
        *(
            [
                (box, int(label), bool(crowd))
                for index, (box, label, crowd) in enumerate(
                    zip(image.objects.boxes_G4.tolist(), image.objects.labels_G, image.objects.ignore_G, strict=True)
                )
                if (image.image_id, index) not in missed
            ]
            for image in truth.images
        )
    )
    gained = measure(left, entries).metrics["map_50"] - measure(truth, entries).metrics["map_50"]
    assert missed and gained > 0
    assert costs(match_detections(truth, entries), CLASSES)["missed"] == pytest.approx(gained, abs=1e-9)
