"""A small actor between workers and driver: reports go in as they happen, the driver takes them out.

Every worker also says every second how far it has come, and hears whether it is to leave. The driver may be on
another machine than the workers; neither waits for the other. Reports are pickled by the worker and unpickled by the
driver: this process never loads what they are made of, torch above all (seconds, and 0.8 GiB).
"""

import time
from collections import deque
from dataclasses import dataclass, replace

KEPT = 10_000  # reports; a driver that does not look for long loses the oldest, never the training


@dataclass(frozen=True)
class Heartbeat:
    """Where a worker is and how far it has come."""

    rank: int
    pid: int
    node: str  # Ray's id
    epoch: int
    step: int
    measuring: bool = False  # an evaluation takes what it takes
    moved_s: float = 0.0  # the queue's clock when it last did a step
    seen_s: float = 0.0  # and when it last said anything


class ReportQueue:
    """Holds reports until they are taken."""

    def __init__(self) -> None:
        self._heartbeats: dict[int, Heartbeat] = {}
        self._leave = False
        self._reports: deque[bytes] = deque(maxlen=KEPT)
        self._refused = False

    def put(self, report: bytes) -> None:
        """Add one report."""
        self._reports.append(report)

    def refuse(self, refusal: bytes) -> None:
        """Add the report of a worker that would not train."""
        self.put(refusal)
        self._refused = True

    def refused(self) -> bool:
        """Whether a worker would not train."""
        return self._refused

    def take(self) -> list[bytes]:
        """All reports since the last call, oldest first."""
        reports = list(self._reports)
        self._reports.clear()
        return reports

    def beat(self, heartbeat: Heartbeat) -> bool:
        """A worker's place; whether it is to leave."""
        now, before = time.monotonic(), self._heartbeats.get(heartbeat.rank)
        stands = before is not None and (before.pid, before.epoch, before.step) == (
            heartbeat.pid,
            heartbeat.epoch,
            heartbeat.step,
        )
        moved_s = before.moved_s if before is not None and stands else now
        self._heartbeats[heartbeat.rank] = replace(heartbeat, moved_s=moved_s, seen_s=now)
        return self._leave

    def leave(self) -> None:
        """Tell all workers to save and end."""
        self._leave = True

    def hanging(self, after_s: float) -> tuple[Heartbeat, float] | None:
        """The worker that keeps all from going on, and for how many seconds, once nobody has moved for so long.

        One that says nothing any more comes before one that only stands; of those the one that is furthest behind.
        """
        now, heartbeats = time.monotonic(), list(self._heartbeats.values())
        stood_s = min((now - heartbeat.moved_s for heartbeat in heartbeats), default=0.0)
        silent = [
            heartbeat for heartbeat in heartbeats if now - heartbeat.seen_s > after_s
        ]  # whatever it was doing: it would say so
        if stood_s < after_s or (not silent and any(heartbeat.measuring for heartbeat in heartbeats)):
            return None
        worst = min(silent or heartbeats, key=lambda heartbeat: (heartbeat.epoch, heartbeat.step, heartbeat.rank))
        self._heartbeats.clear()  # all workers are replaced with it, and begin anew
        return worst, stood_s
