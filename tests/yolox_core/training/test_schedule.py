"""Schedules at their corners, and against the reference's numbers."""

import json

import pytest

from tests.needs import GOLDEN
from yolox_core.config import TrainConfig
from yolox_core.training.schedule import LearningRate, ema_decay, is_closing, is_evaluated


def test_equals_the_reference() -> None:
    golden = json.loads((GOLDEN / "schedule.json").read_text())
    rate = LearningRate(
        golden["base_lr"], golden["min_lr_ratio"], golden["total_iters"], golden["warmup_iters"], golden["no_aug_iters"]
    )
    for step, expected in zip(golden["iters"], golden["lr"], strict=True):
        assert rate.at(step) == pytest.approx(expected, abs=1e-12)
    for update, expected in zip(golden["ema_updates"], golden["ema_decay"], strict=True):
        assert ema_decay(update, golden["ema_decay_max"], 2000) == pytest.approx(expected, abs=1e-12)


def test_corners() -> None:
    rate = LearningRate.of(TrainConfig(epochs=10, warmup_epochs=2, closing_epochs=3, learning_rate=1.0), 5)
    assert rate.at(0) == 0.0
    assert rate.at(5) == 0.25  # half of the warm-up, squared
    assert rate.at(10) == 1.0
    assert rate.at(35) == rate.at(49) == 0.05
    falling = [rate.at(step) for step in range(10, 36)]
    assert falling == sorted(falling, reverse=True)


def test_without_warmup_or_closing() -> None:
    rate = LearningRate.of(TrainConfig(epochs=2, warmup_epochs=0, closing_epochs=0, learning_rate=1.0), 10)
    assert rate.at(0) == 1.0
    assert rate.at(19) > 0.05
    assert rate.at(20) == pytest.approx(0.05)


def test_phases() -> None:
    assert [is_closing(epoch, 2) for epoch in range(4)] == [False, False, True, True]
    assert [epoch for epoch in range(10) if is_evaluated(epoch, 9, 8, 3)] == [2, 5, 8, 9]
