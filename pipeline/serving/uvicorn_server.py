"""The web service under uvicorn, on one machine: one process, or several that share a port (`--workers`).

SIGINT and SIGTERM let requests under way be answered, within SHUTDOWN_TIMEOUT_S; a second SIGINT ends at once.
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
from uvicorn.supervisors.multiprocess import Process

from pipeline.serving.app import Service, build_app, open_service
from pipeline.serving.log import log_to_stderr, logger
from pipeline.serving.options import SHUTDOWN_TIMEOUT_S, Options
from pipeline.serving.prometheus import SHARED, PrometheusMeter
from yolox_core.config import AUTO, RuntimeName
from yolox_core.errors import InputError
from yolox_core.inference.runtime import TITLES

OPTIONS = "YOLOX_SERVE_OPTIONS"  # environment: how a worker learns its Options, as JSON
IDLE_S = 10.0  # without a request, before a runtime is measured
LOOK_EVERY_S = 1.0  # at whether it is so long
STOPS = (signal.SIGINT, signal.SIGTERM)
WORKER_SILENT_S = 60  # imports and the loading of a model hold the interpreter; a worker silent for longer is replaced
AGAIN_AFTER_S = 10.0  # a worker that could not start, while others serve


def run(
    options: Options, listener: socket.socket, ready: Callable[[RuntimeName], None], stopping: Callable[[], None]
) -> None:
    """Serve in this process until SIGINT or SIGTERM. `ready` is told what runs the model once requests are answered."""
    stop = _Stop()
    log_to_stderr()
    service = open_service(options, PrometheusMeter())
    leave = threading.Event()

    def begin() -> None:
        ready(service.watcher.model.predictor.runtime)
        if options.runtime in (None, AUTO) and options.device == "cpu":
            # no daemon: the interpreter waits for what it measures, rather than end beneath it
            threading.Thread(target=measure_when_idle, args=(service, leave), name="measure").start()

    stop.server = _Server(_config(build_app(service)), begin, stopping)
    stop.server.should_exit = stop.wanted
    try:
        stop.server.run([listener])
    finally:
        leave.set()


def measure_when_idle(service: Service, leave: threading.Event) -> None:
    """Until `leave`: run each model that is served in its fastest runtime, measured once nobody has asked for a while.

    To measure takes all cores for two seconds.
    """
    watcher = service.watcher
    while not leave.wait(LOOK_EVERY_S):
        if not watcher.is_unmeasured or service.idle_s < IDLE_S:
            continue
        try:
            if watcher.take_fastest():
                logger.info("switched to %s: measured faster here", TITLES[watcher.model.predictor.runtime])
        except Exception as failed:  # whatever a store or a runtime raises: the model is served as before
            if not leave.is_set():  # at the end of the interpreter nothing more can be measured
                logger.warning("the fastest runtime cannot be measured: %s: %s", type(failed).__name__, failed)


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
    if supervisor.is_broken:
        raise InputError("a worker could not start; what is above says why.")


def worker() -> FastAPI:
    """The application of a process that uvicorn started; what keeps it from starting is told, and ends all workers."""
    log_to_stderr()
    try:
        options = Options.from_mapping(json.loads(os.environ[OPTIONS]))
        return build_app(open_service(options, PrometheusMeter()))
    except InputError as refused:
        print(f"error: {refused}", file=sys.stderr, flush=True)
    except Exception:  # by any other exit code uvicorn would start it again, for ever
        logger.exception("a worker could not start")
    raise SystemExit(STARTUP_FAILURE)


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
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        timeout_worker_healthcheck=WORKER_SILENT_S,  # of a restart by SIGHUP
    )


class _Stop:
    """What a signal does before there is a server, and after it: uvicorn raises what it got once more at its end.

    A second SIGINT raises KeyboardInterrupt: loading a model is not waited for.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.server: uvicorn.Server | None = None
        for number in STOPS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
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
    """Uvicorn's, which would wait for a silent worker, deaf to signals: here nothing in its loop waits.

    Once all have been ready, one that cannot start is tried again, while the others answer.
    """

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config, [listener])
        self._ready, self._stopping, self._is_ready_printed = ready, stopping, False
        self._asked: dict[int, float] = {}  # by process id: since when a worker owes an answer
        self._started: set[int] = set()  # ids of those that serve
        self._again_at = 0.0
        self.is_broken = False  # a worker could not start, and ended all
        for number in STOPS:
            signal.signal(number, self._stop)

    def _stop(self, number: int, _: object) -> None:
        if self.should_exit.is_set() and number == signal.SIGINT:
            for process in self.processes:
                process.process.kill()
        self.should_exit.set()

    def keep_subprocess_alive(self) -> None:
        """Uvicorn's look after its processes, twice a second: what died, or is silent, is replaced."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if not process.process.is_alive() or self._is_silent(process):
                self._replace(index, process)
        if not self._is_ready_printed and all(one.pid in self._started for one in self.processes):
            self._is_ready_printed = True
            self._ready()

    def _replace(self, index: int, process: Process) -> None:
        process.process.kill()
        process.process.join()
        if process.exitcode == STARTUP_FAILURE:
            if not self._is_ready_printed:
                self.is_broken = True
                self.should_exit.set()
                return
            if time.monotonic() < self._again_at:
                return
            self._again_at = time.monotonic() + AGAIN_AFTER_S
        process.kill()  # closes its pipe, too
        self._asked.pop(process.pid or 0, None)
        self._started.discard(process.pid or 0)
        self.processes[index] = Process(self.config, self.sockets)
        self.processes[index].start()

    def _is_silent(self, process: Process) -> bool:
        """Whether a worker owes an answer for too long; asks it anew where it does not."""
        pid, now = process.pid or 0, time.monotonic()
        try:
            if pid in self._asked and process.parent_conn.poll():
                del self._asked[pid]
                if process.parent_conn.recv():
                    self._started.add(pid)
            if pid not in self._asked:
                process.parent_conn.send(b"ping")
                self._asked[pid] = now
        except (OSError, EOFError):  # it has just ended
            return True
        return now - self._asked[pid] > WORKER_SILENT_S

    def terminate_all(self) -> None:
        """Tell all workers to stop; who connects from now on is refused, rather than kept waiting by our socket."""
        self._stopping()
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
