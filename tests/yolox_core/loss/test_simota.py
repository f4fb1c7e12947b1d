"""SimOTA against its slow twin, and its corners: nothing to find, nothing to find it with, nothing to be found."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.yolox_core.loss.slow_simota import SlowAssignment, points_of, slow_simota
from yolox_core.config import ASSIGN_RULES, AssignConfig, AssignRule
from yolox_core.data.batch import Assignment, Targets
from yolox_core.loss import simota
from yolox_core.loss.simota import SimOTA
from yolox_core.ops.anchors import anchor_points

Scene = tuple[Tensor, Tensor, Targets]  # decoded boxes, raw predictions, targets
SIZE = (64, 96)  # (height, width) px: 126 points
CLASSES = 3
LEAST_MARGIN = 1.0  # decisions closer than single precision can tell are not compared

# kind of objects -> (count, smallest and largest side px, where centres may lie relative to the input)
KINDS = {
    "none": (0, 8, 9, (0.0, 1.0)),
    "one": (1, 8, 50, (0.0, 1.0)),
    "some": (6, 6, 60, (0.0, 1.0)),
    "crowd": (60, 6, 40, (0.0, 1.0)),
    "tiny": (5, 0.25, 4, (0.1, 0.9)),
    "huge": (4, 90, 300, (0.2, 0.8)),
    "off the image": (5, 8, 40, (1.05, 2.0)),
    "half off": (5, 20, 60, (-0.2, 0.1)),
}
RULES_AND_RADII = [
    ("yolox-2021", 2.5),
    ("yolox-2021", 0.3),
    ("yolox-2021", 4.0),
    ("yolox-2023", 1.5),
    ("yolox-2023", 0.3),
    ("yolox-2023", 4.0),
]


def draw(rng: np.random.Generator, kind: str, extreme: bool, duplicates: bool, images: int = 2) -> Scene:
    """A batch whose boxes lie on quarters of a pixel, so that single precision holds them exactly.

    Its second image holds fewer objects, so that padding occurs; what is not valid has a box and a label all the same.
    """
    count, low, high, place = KINDS[kind]
    height, width = SIZE
    centers = rng.uniform(place[0], place[1], (images, count, 2)) * (width, height)
    sides = np.exp(rng.uniform(np.log(low), np.log(high), (images, count, 2)))
    boxes = np.round(np.concatenate((centers - sides / 2, centers + sides / 2), -1) * 4) / 4
    labels = rng.integers(0, CLASSES, (images, count))
    if duplicates and count > 1:
        boxes[:, count // 2 :] = boxes[:, : count - count // 2]
        labels[:, count // 2 :] = labels[:, : count - count // 2]
    valid, ignore = np.ones((images, count), bool), np.zeros((images, count), bool)
    if count > 1:
        valid[1, 1::2] = False
        ignore[1, 1::4] = True
    points = np.array([point[:2] for point in points_of(SIZE)])
    spread = rng.uniform(-6, 6, (images, len(points), 2))
    half = np.exp(rng.uniform(np.log(3), np.log(30), (images, len(points), 2)))
    predicted = np.concatenate((points + spread - half, points + spread + half), -1)
    if count:  # every other point already predicts an object well, or perfectly
        chosen = boxes[:, rng.integers(0, count, len(points))]
        off = rng.normal(0, 2, chosen.shape) * (rng.random((images, len(points), 1)) < 0.8)
        predicted[:, ::2] = (chosen + off)[:, ::2]
    raw = rng.normal(0, 2, (images, len(points), 5 + CLASSES))
    if extreme:
        raw[..., 4:] = np.where(
            rng.random(raw[..., 4:].shape) < 0.5, rng.choice([-40.0, 40.0], raw[..., 4:].shape), raw[..., 4:]
        )
    targets = Targets(
        torch.from_numpy(boxes).float().reshape(images, count, 4),
        torch.from_numpy(labels),
        torch.from_numpy(valid),
        torch.from_numpy(ignore),
    )
    return torch.from_numpy(predicted).float(), torch.from_numpy(raw).float(), targets


def slowly(scene: Scene, config: AssignConfig) -> list[SlowAssignment]:
    """The twin on each image of a batch."""
    predicted, raw, targets = scene
    results = []
    for image in range(len(raw)):
        objects = {
            index: (tuple(targets.boxes_BG4[image, index].tolist()), int(targets.labels_BG[image, index]))
            for index in range(targets.valid_BG.shape[1])
            if targets.valid_BG[image, index]
        }
        results.append(
            slow_simota(
                objects,
                [tuple(box) for box in predicted[image].tolist()],
                raw[image, :, 4].tolist(),
                raw[image, :, 5:].tolist(),
                SIZE,
                config.rule,
                config.center_radius,
                config.candidate_topk,
                config.class_weight,
                config.iou_weight,
            )
        )
    return results


def fast(scene: Scene, config: AssignConfig) -> Assignment:
    return SimOTA(config)(scene[0], scene[1], scene[2], anchor_points(SIZE))


def assert_equal(got: Assignment, expected: list[SlowAssignment], targets: Targets, whose: str) -> None:
    """Where two objects are equal in box and label, either may have the point."""
    for image, slow in enumerate(expected):
        foreground = [index >= 0 for index in slow.matched]
        assert got.foreground_BA[image].tolist() == foreground, whose
        assert ((got.matched_gt_BA[image] >= 0) == got.foreground_BA[image]).all(), whose
        for fast_index, slow_index in zip(got.matched_gt_BA[image].tolist(), slow.matched, strict=True):
            if fast_index != slow_index:
                assert targets.valid_BG[image, fast_index], whose
                assert torch.equal(targets.boxes_BG4[image, fast_index], targets.boxes_BG4[image, slow_index]), whose
                assert targets.labels_BG[image, fast_index] == targets.labels_BG[image, slow_index], whose
        torch.testing.assert_close(got.matched_iou_BA[image], torch.tensor(slow.iou), atol=1e-5, rtol=0, msg=whose)


# sixty objects most of which are near no point: their costs of 1e6 and more tie in single precision, always
ALWAYS_TIED = ("crowd", "yolox-2023", 0.3)


@pytest.mark.parametrize(
    ("kind", "rule", "radius"),
    [(kind, *entry) for kind in KINDS for entry in RULES_AND_RADII if (kind, *entry) != ALWAYS_TIED],
)
def test_equals_its_slow_twin(kind: str, rule: AssignRule, radius: float) -> None:
    """Each kind of objects, plain, with saturated logits and with duplicates; k of 1, 10 and more than all points."""
    rng = np.random.default_rng([sorted(KINDS).index(kind), ASSIGN_RULES.index(rule), int(10 * radius)])
    positives = compared = 0
    for extreme, duplicates, topk, weights in [
        (False, False, 10, (1.0, 3.0)),
        (True, False, 10, (1.0, 3.0)),
        (False, True, 1000, (0.5, 1.0)),
        (False, False, 1, (1.0, 3.0)),
    ]:
        config = AssignConfig(rule, radius, topk, *weights)
        for _ in range(12):  # until a case without a near tie
            scene = draw(rng, kind, extreme, duplicates)
            expected = slowly(scene, config)
            if min(slow.margin for slow in expected) > LEAST_MARGIN:
                break
        else:
            continue
        compared += 1
        positives += sum(index >= 0 for slow in expected for index in slow.matched)
        assert_equal(fast(scene, config), expected, scene[2], f"{kind}, {config}, extreme {extreme}")
    assert compared >= 3
    assert (positives > 0) == (kind != "none" and not (kind == "off the image" and radius < 1))


def scene_of(
    objects: list[tuple[float, float, float, float]],
    logit: float = 0.0,
    invalid: tuple[int, ...] = (),
    ignored: tuple[int, ...] = (),
) -> Scene:
    """One image with these objects; every point predicts a 20 px box around itself."""
    centers = anchor_points(SIZE).center_A2
    predicted = torch.cat((centers - 10, centers + 10), dim=1)[None]
    valid = torch.tensor([[index not in (*invalid, *ignored) for index in range(len(objects))]], dtype=torch.bool)
    ignore = torch.tensor([[index in ignored for index in range(len(objects))]], dtype=torch.bool)
    boxes = torch.tensor([objects], dtype=torch.float32).reshape(1, len(objects), 4)
    raw = torch.full((1, len(centers), 5 + CLASSES), logit)
    return predicted, raw, Targets(boxes, torch.zeros(1, len(objects), dtype=torch.int64), valid, ignore)


def assert_background(got: Assignment) -> None:
    assert not got.foreground_BA.any()
    assert (got.matched_gt_BA == -1).all()
    assert (got.matched_iou_BA == 0).all()


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_no_objects_no_positives(rule: AssignRule) -> None:
    got = fast(scene_of([]), AssignConfig(rule))
    assert_background(got)
    assert got.foreground_BA.shape == got.matched_gt_BA.shape == got.matched_iou_BA.shape == (1, 126)
    assert (got.foreground_BA.dtype, got.matched_gt_BA.dtype) == (torch.bool, torch.int64)


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_objects_without_candidates_have_no_positives(rule: AssignRule) -> None:
    """A pixel between four points, further than .3 strides from each; the reference raises here."""
    assert_background(fast(scene_of([(23.5, 31.5, 24.5, 32.5)]), AssignConfig(rule, center_radius=0.3)))


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_what_is_padding_or_ignored_is_never_matched(rule: AssignRule) -> None:
    """Even where its box is what the points predict."""
    box, other = (26.0, 26.0, 46.0, 46.0), (60.0, 8.0, 90.0, 40.0)
    assert_background(fast(scene_of([box], invalid=(0,)), AssignConfig(rule)))
    assert_background(fast(scene_of([box], ignored=(0,)), AssignConfig(rule)))
    alone = fast(scene_of([other]), AssignConfig(rule))
    assert alone.foreground_BA.any()
    for among in (scene_of([box, other, box], invalid=(0, 2)), scene_of([box, other, box], ignored=(0, 2))):
        got = fast(among, AssignConfig(rule))
        assert torch.equal(got.foreground_BA, alone.foreground_BA)
        assert set(got.matched_gt_BA.unique().tolist()) == {-1, 1}
        assert torch.equal(got.matched_iou_BA, alone.matched_iou_BA)


@pytest.mark.parametrize("logit", [-40.0, 40.0, -1e4, 1e4])
def test_saturated_logits_still_find_a_point(logit: float) -> None:
    got = fast(scene_of([(26.0, 26.0, 46.0, 46.0)], logit), AssignConfig())
    assert got.foreground_BA.any()
    assert (got.matched_iou_BA[got.foreground_BA] > 0.3).all()


def test_boxes_without_area_are_matched_and_never_nan() -> None:
    _, raw, targets = scene_of([(36.0, 36.0, 36.0, 36.0)])
    centers = anchor_points(SIZE).center_A2
    got = fast((torch.cat((centers, centers), dim=1)[None], raw, targets), AssignConfig())
    assert got.foreground_BA.sum() == 1
    assert torch.isfinite(got.matched_iou_BA).all()


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_is_float32_whatever_comes_in(rule: AssignRule) -> None:
    boxes, raw, targets = draw(np.random.default_rng(4), "some", extreme=False, duplicates=False)
    boxes, raw = boxes.bfloat16(), raw.bfloat16()
    half = fast((boxes, raw, targets), AssignConfig(rule))
    whole = fast((boxes.float(), raw.float(), targets), AssignConfig(rule))
    assert half.foreground_BA.any()
    assert torch.equal(half.foreground_BA, whole.foreground_BA)
    assert torch.equal(half.matched_gt_BA, whole.matched_gt_BA)
    assert half.matched_iou_BA.dtype == torch.float32
    assert torch.equal(half.matched_iou_BA, whole.matched_iou_BA)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    predicted, raw, targets = draw(np.random.default_rng(5), "some", extreme=False, duplicates=False, images=3)
    together = fast((predicted, raw, targets), AssignConfig())
    fields = (targets.boxes_BG4, targets.labels_BG, targets.valid_BG, targets.ignore_BG)
    for row in range(3):
        own = slice(row, row + 1)
        alone = fast((predicted[own], raw[own], Targets(*(field[own] for field in fields))), AssignConfig())
        assert torch.equal(alone.matched_gt_BA[0], together.matched_gt_BA[row])


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_taking_the_images_one_by_one_changes_nothing(rule: AssignRule, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = draw(np.random.default_rng(9), "crowd", extreme=False, duplicates=False, images=5)
    together = fast(scene, AssignConfig(rule))
    monkeypatch.setattr(simota, "PAIRS_AT_ONCE", 1)
    apart = fast(scene, AssignConfig(rule))
    for name in ("foreground_BA", "matched_gt_BA", "matched_iou_BA", "k_BG"):
        assert torch.equal(getattr(apart, name), getattr(together, name)), name
    assert apart.most_positives == together.most_positives
