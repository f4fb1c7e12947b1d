"""The queue: who hangs is found by what the workers said, and when."""

from dataclasses import replace

import pytest

from pipeline.training import report_queue as module
from pipeline.training.report_queue import Heartbeat, ReportQueue


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock.monotonic)
    return clock


def heartbeat(rank: int, epoch: int, step: int, pid: int = 7) -> Heartbeat:
    return Heartbeat(rank, pid, "node", epoch, step)


def test_everybody_who_moves_is_well(clock: Clock) -> None:
    report_queue = ReportQueue()
    assert report_queue.hanging(10) is None  # nobody has begun
    for step in range(20):
        report_queue.beat(heartbeat(0, 0, step))
        clock.now += 5
        assert report_queue.hanging(10) is None


def test_one_that_is_silent_is_told_from_one_that_waits_for_it(clock: Clock) -> None:
    report_queue = ReportQueue()
    for step in range(3):
        report_queue.beat(heartbeat(0, 0, step)), report_queue.beat(heartbeat(1, 0, step, pid=8))
        clock.now += 1
    for _ in range(12):  # rank 1 has been stopped; rank 0 waits for its gradients, and still says so
        clock.now += 1
        report_queue.beat(heartbeat(0, 0, 2))
    found = report_queue.hanging(10)
    assert found is not None and (found[0].rank, found[0].pid) == (1, 8) and found[1] >= 10


def test_a_hang_is_told_once(clock: Clock) -> None:
    """The others are replaced with the one that hangs; they only waited for it."""
    report_queue = ReportQueue()
    for _ in range(15):
        report_queue.beat(heartbeat(0, 0, 2)), report_queue.beat(heartbeat(1, 0, 1))
        clock.now += 1
    assert report_queue.hanging(10) is not None
    report_queue.beat(heartbeat(0, 0, 2))
    assert report_queue.hanging(10) is None


def test_an_evaluation_is_no_hang(clock: Clock) -> None:
    report_queue = ReportQueue()
    for _ in range(30):
        report_queue.beat(replace(heartbeat(0, 3, 0), measuring=True))
        clock.now += 1
        assert report_queue.hanging(10) is None


def test_one_that_falls_silent_in_an_evaluation_hangs(clock: Clock) -> None:
    report_queue = ReportQueue()
    report_queue.beat(replace(heartbeat(0, 3, 0), measuring=True))
    clock.now += 11
    found = report_queue.hanging(10)
    assert found is not None and found[0].rank == 0


def test_of_those_that_stand_it_is_the_one_behind(clock: Clock) -> None:
    report_queue = ReportQueue()
    for _ in range(15):
        report_queue.beat(heartbeat(0, 1, 5)), report_queue.beat(heartbeat(1, 1, 4))
        clock.now += 1
    found = report_queue.hanging(10)
    assert found is not None and found[0].rank == 1


def test_a_replaced_worker_begins_anew(clock: Clock) -> None:
    report_queue = ReportQueue()
    report_queue.beat(heartbeat(0, 0, 1))
    clock.now += 9
    report_queue.beat(heartbeat(0, 0, 1, pid=9))
    clock.now += 9
    assert report_queue.hanging(10) is None


def test_a_worker_hears_that_it_is_to_leave() -> None:
    report_queue = ReportQueue()
    assert not report_queue.beat(heartbeat(0, 0, 0))
    report_queue.leave()
    assert report_queue.beat(heartbeat(0, 0, 1))
