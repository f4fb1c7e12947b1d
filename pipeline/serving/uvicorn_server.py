"""The web service under uvicorn, on one machine: one process, or several that share a port (`--workers`).

SIGINT and SIGTERM let requests under way be answered, within LEAVE_WITHIN_S; a second SIGINT does not.
"""

import dataclasses
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from pipeline.serving.app import Service, build_app, open_service
from pipeline.serving.options import LEAVE_WITHIN_S, Options
from pipeline.serving.prometheus import SHARED, PrometheusMeter
from yolox_core.config import AUTO, RuntimeName
from yolox_core.errors import InputError
from yolox_core.inference.runtime import TITLES

OPTIONS = "YOLOX_SERVE_OPTIONS"  # environment: how a worker learns its Options, as JSON
IDLE_S = 10  # without a request, before a runtime is measured
STOPS = (signal.SIGINT, signal.SIGTERM)
WORKER_SILENT_S = 60  # imports and the loading of a model hold the interpreter; a worker silent for longer is replaced


def run(
    options: Options, listener: socket.socket, ready: Callable[[RuntimeName], None], stopping: Callable[[], None]
) -> None:
    """Serve in this process until SIGINT or SIGTERM. `ready` is told what runs the model once requests are answered."""
    stop = _Stop()
    service = open_service(options, PrometheusMeter())

    def begin() -> None:
        ready(service.in_use.model.predictor.runtime)
        if options.runtime in (None, AUTO) and options.device == "cpu":
            threading.Thread(target=_take_fastest, args=(service,), name="measure", daemon=True).start()

    stop.server = _Server(_config(build_app(service)), begin, stopping)
    stop.server.should_exit = stop.wanted
    stop.server.run([listener])


def _take_fastest(service: Service) -> None:
    """Take the fastest runtime, measured once nobody has asked for a while: two seconds of all cores."""
    idle_s = 0
    while idle_s < IDLE_S:
        time.sleep(1)
        idle_s = 0 if service.waiting else idle_s + 1
    if service.in_use.take_fastest():
        print(
            f"{TITLES[service.in_use.model.predictor.runtime]} was measured to be faster here, and runs the model now"
        )


def run_workers(
    options: Options, workers: int, listener: socket.socket, ready: Callable[[], None], stopping: Callable[[], None]
) -> None:
    """The same in `workers` processes, each with a model of its own; one that dies is replaced.

    InputError where a worker cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="yolox-metrics-") as numbers:
        os.environ |= {OPTIONS: json.dumps(dataclasses.asdict(options)), SHARED: numbers}
        try:
            supervisor = _Supervisor(_config(f"{__name__}:worker", workers), listener, ready, stopping)
            supervisor.run()
        finally:
            for name in (OPTIONS, SHARED):
                del os.environ[name]
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise InputError("a worker could not start; the line above says why.")


def worker() -> FastAPI:
    """The application of a process that uvicorn started; what cannot be served is one line, and the end of all."""
    options = Options.from_mapping(json.loads(os.environ[OPTIONS]))
    try:
        return build_app(open_service(options, PrometheusMeter()))
    except InputError as refused:
        print(f"error: {refused}", file=sys.stderr)
        raise SystemExit(STARTUP_FAILURE) from refused


def _config(app: FastAPI | str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=LEAVE_WITHIN_S,
        timeout_worker_healthcheck=WORKER_SILENT_S,
    )


class _Stop:
    """What a signal does before and while there is a server; uvicorn raises it once more when it is through."""

    def __init__(self) -> None:
        self.wanted = False
        self.server: uvicorn.Server | None = None
        for number in STOPS:
            signal.signal(number, self._handle)

    def _handle(self, *_: object) -> None:
        self.wanted = True
        if self.server is not None:
            self.server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._stopping = ready, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


class _Supervisor(Multiprocess):
    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config, [listener])
        self._ready, self._stopping, self._is_told = ready, stopping, False

    def keep_subprocess_alive(self) -> None:
        """Uvicorn's look after its processes, twice a second."""
        super().keep_subprocess_alive()
        if not self._is_told and not self.should_exit.is_set() and all(one.is_ready() for one in self.processes):
            self._is_told = True
            self._ready()

    def terminate_all(self) -> None:
        """Tell all workers to stop; who connects from now on is refused, rather than kept waiting by our socket."""
        self._stopping()
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
