"""Chosen points to the front and back again; and that a device's spare room, which a CPU never has, changes nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.yolox_core.loss.test_simota import SIZE, draw, fast
from yolox_core.config import ASSIGN_RULES, AssignConfig, AssignRule
from yolox_core.loss.detection_loss import detection_loss
from yolox_core.ops import gather as module
from yolox_core.ops.anchors import anchor_points
from yolox_core.ops.gather import gather_index

POINTS = anchor_points(SIZE)


@pytest.fixture
def like_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_room", lambda count_B, most: most)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_there_and_back(share: float) -> None:
    rng = np.random.default_rng(0)
    chosen = torch.from_numpy(rng.random((4, 50)) < share)
    values = torch.from_numpy(rng.normal(size=(4, 50)))
    picked = gather_index(chosen, most=50)
    assert picked.valid_BM.sum(dim=1).tolist() == chosen.sum(dim=1).tolist()
    for image in range(4):
        indices = picked.index_BM[image][picked.valid_BM[image]]
        assert indices.tolist() == chosen[image].nonzero().flatten().tolist()
    everywhere = torch.arange(picked.index_BM.shape[1]).expand_as(picked.index_BM)
    spread = picked.spread(everywhere, picked.valid_BM, picked.of(values), elsewhere=-7.0)
    assert torch.equal(spread, torch.where(chosen, values, -7.0))
    assert torch.equal(picked.of(values[..., None])[..., 0], picked.of(values))
    named = torch.from_numpy(rng.integers(0, 51, (4, 3, 6)))  # 50: no point
    marked = picked.mark(named)
    for image, row, place in torch.cartesian_prod(torch.arange(4), torch.arange(3), everywhere[0]).tolist():
        if picked.valid_BM[image, place]:
            assert bool(marked[image, row, place]) == (int(picked.index_BM[image, place]) in named[image, row])
        else:
            assert not marked[image, row, place]


@pytest.mark.parametrize("rule", ASSIGN_RULES)
@pytest.mark.parametrize("kind", ["none", "one", "some", "crowd", "tiny", "huge", "off the image"])
def test_spare_room_changes_no_assignment(kind: str, rule: AssignRule, request: pytest.FixtureRequest) -> None:
    scene = draw(np.random.default_rng(6), kind, extreme=False, duplicates=False)
    exact = fast(scene, AssignConfig(rule))
    request.getfixturevalue("like_a_device")
    roomy = fast(scene, AssignConfig(rule))
    for name in ("foreground_BA", "matched_gt_BA", "matched_iou_BA", "k_BG"):
        assert torch.equal(getattr(roomy, name), getattr(exact, name)), name


@pytest.mark.parametrize("kind", ["none", "some", "crowd"])
def test_spare_room_changes_no_loss_and_no_gradient(kind: str, request: pytest.FixtureRequest) -> None:
    predicted, raw, targets = draw(np.random.default_rng(7), kind, extreme=False, duplicates=False)
    assignment = fast((predicted, raw, targets), AssignConfig())

    def loss_and_gradient() -> tuple[Tensor, Tensor]:
        leaf = raw.clone().requires_grad_()
        sums = detection_loss(leaf, predicted + leaf[..., :4], targets, assignment, POINTS, use_l1=True)
        sums.total.backward()
        assert leaf.grad is not None
        return sums.total.detach(), leaf.grad

    exact = loss_and_gradient()
    request.getfixturevalue("like_a_device")
    for got, expected in zip(loss_and_gradient(), exact, strict=True):
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
