"""Precision, recall and F1 by score, and who is taken for whom: by hand, and against counting one by one."""

import numpy as np
import pytest

from tests.yolox_core.evaluation.planted import detection, random_detections, random_truth, truth_of
from yolox_core.evaluation.confusion import confusion
from yolox_core.evaluation.matching import IOU, match_detections
from yolox_core.evaluation.pr_curve import THRESHOLDS, curve
from yolox_core.structures import Objects

A, B, FAR = [10.0, 10.0, 110.0, 110.0], [200.0, 200.0, 320.0, 330.0], [340.0, 0.0, 390.0, 50.0]
BACKGROUND = 4


def test_by_hand() -> None:
    truth = truth_of([(A, 0, False), (B, 0, False)])
    found = curve(match_detections(truth, [detection(0, A, 0, 0.8), detection(0, FAR, 0, 0.3)]), 0)
    low, middle, high = (THRESHOLDS.index(score) for score in (0.3, 0.5, 0.81))
    assert (found.precision_T[low], found.recall_T[low], found.f1_T[low]) == (0.5, 0.5, 0.5)
    assert (found.precision_T[middle], found.recall_T[middle], found.f1_T[middle]) == (1.0, 0.5, 2 / 3)
    assert np.isnan(found.precision_T[high]) and found.recall_T[high] == found.f1_T[high] == 0.0
    assert found.recommended == 0.56  # the middle of .31 to .80


@pytest.mark.parametrize("detections", [[], [detection(0, FAR, 1, 0.9)]], ids=["nothing", "nothing right"])
def test_nothing_found(detections: list[dict[str, float]]) -> None:
    found = curve(match_detections(truth_of([(A, 0, False)]), detections))
    assert not found.recall_T.any() and not found.f1_T.any()
    assert found.recommended == 0.5  # every threshold is as good


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_is_the_same_as_leaving_out_what_scores_less(seed: int) -> None:
    truth = random_truth(seed)
    entries = random_detections(truth, seed + 100)
    for label in (None, 1):
        whole = curve(match_detections(truth, entries), label)
        for score in (0.15, 0.5, 0.9):
            at = THRESHOLDS.index(score)
            kept = match_detections(truth, [entry for entry in entries if entry["score"] >= score])
            ours = [image.labels_D == label if label is not None else image.labels_D >= 0 for image in kept]
            right = sum(int((image.found_D[use] >= 0).sum()) for image, use in zip(kept, ours, strict=True))
            wrong = sum(int((image.found_D[use] == -1).sum()) for image, use in zip(kept, ours, strict=True))
            objects = sum(
                not ignore and label in (None, its) for image in truth.images for _, its, ignore in image.objects.rows()
            )
            assert whole.precision_T[at] == pytest.approx(right / (right + wrong))
            assert whole.recall_T[at] == pytest.approx(right / objects)
            assert whole.f1_T[at] == pytest.approx(2 * right / (right + wrong + objects))


class TestConfusion:
    def test_by_hand(self) -> None:
        truth = truth_of([(A, 0, False), (B, 1, False)], [(A, 2, False)])
        found = [
            detection(0, A, 1, 0.9),  # one class taken for another
            detection(0, A, 0, 0.8),  # its object is taken
            detection(0, B, 1, 0.7),
            detection(1, FAR, 2, 0.6),
            detection(1, A, 2, 0.1),  # below the threshold
        ]
        expected = np.zeros((5, 5), np.int64)
        expected[0, 1] = expected[1, 1] = expected[BACKGROUND, 0] = 1
        expected[BACKGROUND, 2] = expected[2, BACKGROUND] = 1
        assert confusion(match_detections(truth, found), 4, 0.5).tolist() == expected.tolist()

    def test_equal_boxes_of_two_classes_belong_to_their_own(self) -> None:
        found = [detection(0, A, 1, 0.9), detection(0, A, 0, 0.8)]
        counts = confusion(match_detections(truth_of([(A, 0, False), (A, 1, False)]), found), 4, 0.5)
        assert counts[0, 0] == counts[1, 1] == counts.sum() - 1 == 1

    def test_nothing(self) -> None:
        assert not confusion(match_detections(truth_of([], [(A, 0, True)]), []), 4, 0.5).any()

    def test_a_crowd_swallows_what_lies_in_it(self) -> None:
        found = match_detections(truth_of([(B, 0, True)]), [detection(0, [210.0, 210.0, 260.0, 260.0], 1)])
        assert not confusion(found, 4, 0.5).any()

    @pytest.mark.parametrize("seed", range(3))
    def test_every_object_and_every_detection_stands_once(self, seed: int) -> None:
        truth = random_truth(seed)
        entries = [entry for entry in random_detections(truth, seed + 100) if entry["score"] >= 0.3]
        found = match_detections(truth, entries)
        counts = confusion(found, 4, 0.3)
        every = Objects.joined(image.objects for image in truth.images).without_crowds
        objects = np.bincount(every.labels_G, minlength=4)
        assert counts[:4].sum(axis=1).tolist() == objects.tolist()
        in_crowds = sum(
            bool(image.ignore_G.any() and (overlap_G[image.ignore_G] >= IOU).any())
            for image in found
            for overlap_G in image.overlap_DG
        )
        detections = sum(len(image.scores_D) for image in found)
        assert detections - in_crowds <= counts[:, :4].sum() <= detections
        assert counts[:4, :4].trace() > 0.5 * objects.sum()
