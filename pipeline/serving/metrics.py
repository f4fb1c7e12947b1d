"""Which numbers the service tells Prometheus, whichever way it runs: names, what they count, labels.

Prometheus gets those of counters with `_total` behind them; Ray puts `ray_` in front of all.
"""

from collections import Counter
from dataclasses import dataclass

from yolox_core.structures import Detections


@dataclass(frozen=True)
class Metric:
    """A counter, or a histogram of seconds."""

    name: str
    description: str
    labels: tuple[str, ...] = ()


REQUESTS = Metric("yolox_serve_requests", "requests answered", ("status",))
IMAGES = Metric("yolox_serve_images", "images run through the model", ("version",))
OBJECTS = Metric("yolox_serve_objects", "objects detected", ("class",))
REQUEST_S = Metric("yolox_serve_request_seconds", "of a request")
PART_S = Metric("yolox_serve_part_seconds", "of a request's parts", ("part",))
SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]  # bounds of the histograms


def counts_by_class(found: Detections) -> dict[str, int]:
    """How many objects of each class were detected."""
    return Counter(found.names.tolist())
