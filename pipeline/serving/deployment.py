"""The web service on Ray Serve: replicas of app.py, each with a model and threads of its own.

`detector` is what a RayService's `import_path` names: pipeline.serving.deployment:detector.
"""

import logging
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.metrics import Counter, Histogram
from ray.serve.schema import ApplicationStatus, LoggingConfig
from starlette.concurrency import run_in_threadpool

from pipeline.serving.app import build_app, open_service
from pipeline.serving.log import log_to
from pipeline.serving.metrics import IMAGES, OBJECTS, PART_S, REQUEST_S, REQUESTS, SECONDS, Metric, counts_by_class
from pipeline.serving.model_watcher import Model
from pipeline.serving.options import SHUTDOWN_TIMEOUT_S, Options
from yolox_core.errors import InputError
from yolox_core.structures import Detections

NAME = "yolox"
SPARE = 16  # requests beyond the limit that a replica still takes, to refuse them itself, and to answer /health
METRICS_WITHIN_S = 5.0
LOOK_EVERY_S = 0.3
TELL_AFTER_S = 20.0
OURS = "ray_yolox_"  # of all that a node tells; Ray's own endpoint has the rest


def detector(args: dict[str, Any]) -> serve.Application:
    """The application that `args` (Options) describes."""
    return application(Options.from_mapping(args))


def application(options: Options) -> serve.Application:
    """Replicas of Detector, as many and as large as the options say."""
    gpus = 1 if options.device == "cuda" else 0
    # beside the look at each header: a decoder that reads a header otherwise still stops there
    largest = {"OPENCV_IO_MAX_IMAGE_PIXELS": str(options.limits.max_pixels)}
    deployed = serve.deployment(
        name=NAME,
        num_replicas=options.replicas,
        max_ongoing_requests=options.queue + SPARE,
        max_queued_requests=options.queue,
        graceful_shutdown_timeout_s=SHUTDOWN_TIMEOUT_S,
        ray_actor_options={
            "num_cpus": options.threads,
            "num_gpus": gpus,
            "runtime_env": {"env_vars": largest},
        },
    )
    return deployed(Detector).bind(options)


@contextmanager
def deployed(options: Options, host: str, port: int, every_node: bool, leave: threading.Event) -> Iterator[None]:
    """The service for the time of the block, on the cluster that this process has joined.

    InputError where the cluster serves already, or a replica cannot start. Once `leave` is set nobody waits for one.
    """
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    others = serve.status().applications
    if others:  # the address is theirs, too
        raise InputError(
            f"this cluster serves {', '.join(sorted(others))} already. Stop that first, or give both to "
            "Ray Serve in one configuration file (docs/serving.md)."
        )
    location = "EveryNode" if every_node else "HeadOnly"
    serve.start(proxy_location=location, http_options={"host": host, "port": port}, logging_config=quiet)
    try:
        target = serve.RunTarget(application(options), name=NAME, logging_config=quiet)
        serve.run_many([target], wait_for_applications_running=False)
        _wait(options, leave)
        yield
    finally:
        serve.delete(NAME)
        if not serve.status().applications:
            stop: Any = serve.shutdown  # without types of its own
            stop()


def _wait(options: Options, leave: threading.Event) -> None:
    """Until all replicas answer, or nobody wants them any more."""
    began, told = time.monotonic(), False
    while not leave.wait(LOOK_EVERY_S):
        state = serve.status().applications[NAME]
        if state.status == ApplicationStatus.RUNNING:
            return
        if state.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
            reason = state.message or " ".join(one.message for one in state.deployments.values())
            raise InputError(f"a replica could not start: {_last_line(reason)}")
        if not told and time.monotonic() - began > TELL_AFTER_S:
            told = True
            resources: Any = ray.cluster_resources  # as is this
            there = resources().get("CPU", 0)
            asked = f"{options.replicas} replicas of {options.threads} cores"
            print(f"waiting for {asked}; the cluster has {there:g} cores in all", flush=True)


def _last_line(text: str) -> str:
    """What a traceback ends with."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "Ray Serve does not say why; see its logs."


@serve.ingress()
class Detector:
    """One replica: a model, threads for it, and the routes of app.py."""

    def __init__(self, options: Options) -> None:
        log_to(logging.getLogger("ray.serve").handlers)
        self._service = open_service(options, RayMeter())

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self._service)


class RayMeter:
    """Numbers for Ray's Prometheus endpoint: `ray_yolox_serve_...`, beside Ray Serve's own."""

    def __init__(self) -> None:
        self._requests = _counter(REQUESTS)
        self._images = _counter(IMAGES)
        self._objects = _counter(OBJECTS)
        self._request_s = _histogram(REQUEST_S)
        self._part_s = _histogram(PART_S)

    def answered(self, status: int, seconds: float) -> None:
        """A request ended with this HTTP status after so long."""
        self._requests.inc(1, {"status": str(status)})
        self._request_s.observe(seconds)

    def detected(self, model: Model, found: Detections, times_ms: dict[str, float]) -> None:
        """An image was run through the model."""
        self._images.inc(1, {"version": model.version})
        for name, count in counts_by_class(found).items():
            self._objects.inc(count, {"class": name})
        for part, spent_ms in times_ms.items():
            self._part_s.observe(spent_ms / 1e3, {"part": part})

    async def text(self) -> str:
        """What this node tells Prometheus."""
        return await run_in_threadpool(_node_metrics)


def _counter(metric: Metric) -> Counter:
    labels: Any = metric.labels  # Ray's type says that there is one
    return Counter(metric.name, metric.description, labels)


def _histogram(metric: Metric) -> Histogram:
    labels: Any = metric.labels
    return Histogram(metric.name, metric.description, SECONDS, labels)


def _node_metrics() -> str:
    nodes: Any = ray.nodes  # without types of its own
    here = ray.get_runtime_context().get_node_id()
    (node,) = (node for node in nodes() if node["NodeID"] == here)
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=METRICS_WITHIN_S) as response:
        content: bytes = response.read()
    return "".join(line for line in content.decode("utf-8").splitlines(keepends=True) if OURS in line)
