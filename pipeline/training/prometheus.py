"""What a run's first worker tells Prometheus, through Ray's own endpoint: `ray_yolox_...`, one series a run.

Ray itself tells memory, CPU and GPU use of every node. infra/grafana/training.json shows both.
"""

from collections.abc import Iterator
from typing import Any

GAUGES = {
    "yolox_epoch": "epochs done",
    "yolox_loss": "mean loss of the epoch at hand",
    "yolox_images_per_second": "images trained on, over all workers",
    "yolox_map": "COCO map of the last evaluation",
    "yolox_map_50": "COCO map at IoU 0.5 of the last evaluation",
    "yolox_time_share": "share of the last epoch's time, by phase",
}


class PrometheusMetrics:
    """The gauges of one run."""

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Gauge

        self._run = run
        self._gauges = {name: Gauge(name, text, tag_keys=("run", "phase")) for name, text in GAUGES.items()}

    def show(self, report: Any) -> None:
        """Set what `report`, one of the engine's, tells."""
        for name, value, phase in readings(report):
            self._gauges[name].set(value, {"run": self._run, "phase": phase})


def readings(report: Any) -> Iterator[tuple[str, float, str]]:
    """Gauge, value, and phase where it has one."""
    from yolox_core.training.reports import EpochReport, StepReport

    if isinstance(report, StepReport):
        yield "yolox_loss", report.losses["loss"], ""
        yield "yolox_images_per_second", report.images_per_second, ""
    elif isinstance(report, EpochReport):
        yield "yolox_epoch", report.row["epoch"] + 1, ""
        for metric in ("map", "map_50"):
            if metric in report.row:
                yield f"yolox_{metric}", report.row[metric], ""
        for name, value in report.timing.items():
            if name.startswith("share/"):
                yield "yolox_time_share", value, name.removeprefix("share/")
