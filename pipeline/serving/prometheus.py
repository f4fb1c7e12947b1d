"""The service's numbers by prometheus_client, where Ray is not there to tell them.

With several processes (`--workers`) each writes its numbers to a file of PROMETHEUS_MULTIPROC_DIR, and whichever is
asked sums them up.
"""

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from pipeline.serving.metrics import IMAGES, OBJECTS, PART_S, REQUEST_S, REQUESTS, SECONDS, Metric, counts_by_class
from pipeline.serving.model_watcher import Model
from yolox_core.structures import Detections

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported


class PrometheusMeter:
    """A Meter of app.py whose `text` is this process's numbers, or those of all workers together."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self._requests = self._counter(REQUESTS)
        self._images = self._counter(IMAGES)
        self._objects = self._counter(OBJECTS)
        self._request_s = self._histogram(REQUEST_S)
        self._part_s = self._histogram(PART_S)

    def answered(self, status: int, seconds: float) -> None:
        """A request ended with this HTTP status after so long."""
        self._requests.labels(str(status)).inc()
        self._request_s.observe(seconds)

    def detected(self, model: Model, found: Detections, times_ms: dict[str, float]) -> None:
        """An image was run through the model."""
        self._images.labels(model.version).inc()
        for name, count in counts_by_class(found).items():
            self._objects.labels(name).inc(count)
        for part, spent_ms in times_ms.items():
            self._part_s.labels(part).observe(spent_ms / 1e3)

    async def text(self) -> str:
        """Prometheus' text format."""
        registry = self._own
        if SHARED in os.environ:
            registry = CollectorRegistry()
            collect: Any = MultiProcessCollector  # without types of its own
            collect(registry)
        return generate_latest(registry).decode("utf-8")

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.description, metric.labels, registry=self._own)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.description, metric.labels, registry=self._own, buckets=SECONDS)
