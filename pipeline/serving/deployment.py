"""The web service on Ray Serve: replicas that batch what waits, and take up a new champion between two batches.

`detector` is what a RayService's `import_path` names: pipeline.serving.deployment:detector.
"""

import asyncio
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import ray
import torch
from fastapi import FastAPI
from ray import serve
from ray.serve.metrics import Counter, Histogram
from ray.serve.schema import ApplicationStatus, LoggingConfig
from starlette.concurrency import run_in_threadpool

from pipeline.serving.app import Answer, Question, Service, answer, answer_all, build_app
from pipeline.serving.model_watcher import Model, ModelWatcher
from pipeline.serving.options import TOKEN, Options
from yolox_core.errors import InputError
from yolox_core.structures import Detections

NAME = "yolox"
SPARE = 16  # requests beyond the limit that a replica still takes, to refuse them itself, and to answer /health
LEAVE_WITHIN_S = 30.0  # for requests under way when a replica is stopped
SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]  # of the histograms
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
        graceful_shutdown_timeout_s=LEAVE_WITHIN_S,
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
    """One replica: a model, a queue of images, and the routes of app.py."""

    def __init__(self, options: Options) -> None:
        token = os.environ.get(TOKEN) or None
        if options.require_token and token is None:
            raise InputError(f"expected {TOKEN} in the environment of this node, got none.")
        torch.set_num_threads(options.threads)
        self._in_use = ModelWatcher(options.model, options.runtime, options.device, options.threads)
        self._service = Service(self._in_use, self._detect, RayMeter(), options.limits, token)
        predictor = self._in_use.model.predictor
        batch = predictor.batch
        self._together = batch > 1  # on a GPU; a CPU is fastest with an image on each core
        at_once = options.threads if predictor.many_at_once else 1
        self._network = ThreadPoolExecutor(at_once, thread_name_prefix="network")
        self._at_work = 0
        handle: Any = self._detect_batch
        handle.set_max_batch_size(batch)
        if self._in_use.moves:
            threading.Thread(target=self._watch, args=(options.watch_s,), name="watch", daemon=True).start()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self._service)

    async def _detect(self, question: Question) -> Answer:
        if self._together:
            batched: Any = self._detect_batch  # of one here, of a list below: what the decorator makes of it
            answered: Answer = await batched(question)
            return answered
        self._at_work += 1
        try:
            beside_others = self._at_work > 1
            return await asyncio.get_running_loop().run_in_executor(self._network, answer, question, beside_others)
        finally:
            self._at_work -= 1

    @serve.batch(batch_wait_timeout_s=0.0)
    async def _detect_batch(self, questions: list[Question]) -> list[Answer]:
        """What came while the images before were run; nobody waits for company."""
        return await asyncio.get_running_loop().run_in_executor(self._network, answer_all, questions)

    def _watch(self, every_s: float) -> None:
        while not threading.Event().wait(every_s):
            self._in_use.refresh()


class RayMeter:
    """Numbers for Ray's Prometheus endpoint: `ray_yolox_serve_...`, beside Ray Serve's own."""

    def __init__(self) -> None:
        self._requests = Counter("yolox_serve_requests", "requests answered", tag_keys=("status",))
        self._images = Counter("yolox_serve_images", "images looked at", tag_keys=("version",))
        self._objects = Counter("yolox_serve_objects", "objects found", tag_keys=("class",))
        self._request_s = Histogram("yolox_serve_request_seconds", "of a request", boundaries=SECONDS)
        self._part_s = Histogram("yolox_serve_part_seconds", "of a request's parts", SECONDS, tag_keys=("part",))

    def answered(self, status: int, seconds: float) -> None:
        """A request ended with this HTTP status after so long."""
        self._requests.inc(1, {"status": str(status)})
        self._request_s.observe(seconds)

    def detected(self, model: Model, found: Detections, times_ms: dict[str, float]) -> None:
        """An image was looked at."""
        self._images.inc(1, {"version": model.version})
        for name in found.names.tolist():
            self._objects.inc(1, {"class": name})
        for part, spent_ms in times_ms.items():
            self._part_s.observe(spent_ms / 1e3, {"part": part})

    async def text(self) -> str:
        """What this node tells Prometheus."""
        return await run_in_threadpool(_node_metrics)


def _node_metrics() -> str:
    nodes: Any = ray.nodes  # without types of its own
    here = ray.get_runtime_context().get_node_id()
    (node,) = (node for node in nodes() if node["NodeID"] == here)
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=METRICS_WITHIN_S) as response:
        content: bytes = response.read()
    return "".join(line for line in content.decode("utf-8").splitlines(keepends=True) if OURS in line)
