"""The web service: a page, `POST /predict`, and what an operator asks. FastAPI alone.

uvicorn_server.py runs it on one machine, deployment.py on Ray Serve.

Detections are DESIGN.md's JSON, the same boxes as `yolox predict` in the same runtime. Every refusal is
{"error": "<one line>"}.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.log import logger
from pipeline.serving.model_watcher import Model, ModelWatcher
from pipeline.serving.options import TOKEN, Limits, Options
from pipeline.serving.pool import Answer, Pool, Question
from pipeline.serving.upload import IMAGE_FIELD, Refused, Upload, read_upload
from yolox_core.errors import InputError
from yolox_core.structures import Detections

PAGE = Path(__file__).parent / "page"
# nothing from elsewhere, nothing that a stranger could slip in
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
RETRY_AFTER_S = "1"


class Meter(Protocol):
    """Where numbers for Prometheus go."""

    def answered(self, status: int, seconds: float) -> None:
        """A request ended with this HTTP status after so long."""

    def detected(self, model: Model, found: Detections, times_ms: dict[str, float]) -> None:
        """An image was run through the model."""

    async def text(self) -> str:
        """Prometheus' text format."""


@dataclass
class Service:
    """What the routes work with."""

    watcher: ModelWatcher
    detect: Callable[[Question], Awaitable[Answer]]
    meter: Meter
    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    waiting: int = 0  # requests at work
    pixels: int = 0  # of their images
    answering: set[asyncio.Task[dict[str, Any]]] = field(default_factory=set)  # or the loop would forget them
    last_request: float = field(default_factory=time.monotonic)  # when one was last at work

    @property
    def idle_s(self) -> float:
        """Seconds since a request was last at work; since the start where there was none."""
        return 0.0 if self.waiting else time.monotonic() - self.last_request

    def check_room(self) -> None:
        """Refused where all places, or all pixels, are taken."""
        self._check_waiting()
        self._check_pixels(1)

    def _check_waiting(self) -> None:
        if self.waiting >= self.limits.max_waiting:
            raise Refused(503, f"busy: {self.waiting} requests are at work. Try again in a second.")

    def _check_pixels(self, pixels: int) -> None:
        most = self.limits.max_pixels_together
        if self.pixels and self.pixels + pixels > most:  # an image alone is taken, however large
            at_work = f"images of {self.pixels / 1e6:.0f} megapixels are at work, of {most / 1e6:g} at most"
            raise Refused(503, f"busy: {at_work}. Try again in a second.")

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request's place for the block; Refused where all are taken."""
        self._check_waiting()
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self.last_request = time.monotonic()

    @contextmanager
    def image(self, pixels: int) -> Iterator[None]:
        """An image's room for the block, which bounds the memory of all; Refused where others take it."""
        self._check_pixels(pixels)
        self.pixels += pixels
        try:
            yield
        finally:
            self.pixels -= pixels


def open_service(options: Options, meter: Meter) -> Service:
    """The model loaded, threads for it, and the watch over its alias; InputError where one of them cannot be had."""
    token = os.environ.get(TOKEN) or None
    if options.require_token and token is None:
        raise InputError(f"expected {TOKEN} in the environment of this node, got none.")
    watcher = ModelWatcher(options.model, options.runtime, options.device, options.threads)
    watcher.watch(options.watch_s)
    return Service(watcher, Pool(options.threads).detect, meter, options.limits, token)


def build_app(service: Service) -> FastAPI:
    """The routes around `service`."""
    app: FastAPI = FastAPIOffline(
        title="YOLOX detector",
        description='Objects in images. Errors are JSON: {"error": "what, where, what to do"}.',
        redoc_url=None,
    )
    _add_questions(app, service)
    _add_page(app)
    _add_errors(app, service)
    return app


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.post("/predict", openapi_extra=_BODY, responses=_RESPONSES)
    async def predict(
        request: Request, version: str | None = None, confidence: str | None = None, nms_iou: str | None = None
    ) -> Response:
        """Objects in one image: a form with the file as `image`, JSON with base64 under `image`, or the file itself.

        `confidence` and `nms_iou` (0 to 1) may stand in the form, the JSON or the address; the model's own otherwise.
        `version`, there too: refuse with 404 unless this version of the model answers.
        """
        _authorize(request, service.token)
        # shielded: where the client leaves, Ray Serve cancels this, but a thread may hold the image for a while yet
        answering = asyncio.create_task(_answered(service, request, version))
        service.answering.add(answering)
        answering.add_done_callback(service.answering.discard)
        return JSONResponse(await asyncio.shield(answering))

    @app.get("/model")
    async def describe(request: Request) -> dict[str, Any]:
        """What answers: name, version, runtime, classes, thresholds, limits."""
        _authorize(request, service.token)
        model = service.watcher.model
        spec = model.predictor.spec
        return _named(model) | {
            "runtime": model.predictor.runtime,
            "class_names": spec.class_names,
            "category_ids": spec.category_ids,
            "input_size": spec.input_size,
            "confidence": spec.confidence,
            "nms_iou": spec.nms_iou,
            "loaded_at": model.loaded_at,
            "problem": service.watcher.problem,
            "limits": {
                "bytes": service.limits.max_bytes,
                "pixels": service.limits.max_pixels,
                "pixels_together": service.limits.max_pixels_together,
                "requests": service.limits.max_waiting,
            },
        }

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, Any]:
        """A model is loaded and there is room for a request; 503 where there is none. Needs no token."""
        service.check_room()
        return {"status": "ready"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Prometheus metrics of the node that answers."""
        _authorize(request, service.token)
        return PlainTextResponse(await service.meter.text())


async def _answered(service: Service, request: Request, version: str | None) -> dict[str, Any]:
    with service.request():
        _model(service, version)  # before a body is waited for
        upload = await read_upload(request, service.limits)
        model = _model(service, upload.version)
        with service.image(upload.pixels):
            return await _detected(service, model, upload)


async def _detected(service: Service, model: Model, upload: Upload) -> dict[str, Any]:
    began = time.perf_counter()
    answer = await service.detect(Question(model, upload.image, upload.confidence, upload.nms_iou))
    total_ms = (time.perf_counter() - began) * 1e3
    times_ms = {
        "decode": answer.decode_ms,
        "wait": max(0.0, total_ms - answer.decode_ms - answer.network_ms),
        "network": answer.network_ms,
        "total": total_ms,
    }
    service.meter.detected(model, answer.found, times_ms)
    height, width = answer.image_size
    return {
        "model": _named(model),
        "image": {"width": width, "height": height},
        "detections": answer.found.to_json("", 0),
        "time_ms": {name: round(value, 2) for name, value in times_ms.items()},
        **({"warnings": [f"{loss.what} ({loss.code})" for loss in answer.lost]} if answer.lost else {}),
    }


def _named(model: Model) -> dict[str, str]:
    return {"name": model.name, "version": model.version}


def _model(service: Service, version: str | None) -> Model:
    model = service.watcher.model
    if version not in (None, "", model.version):
        served = f"version {model.version}" if model.version else "a file without a version"
        raise Refused(404, f"version {version[:40]}: not served here; {model.name} is {served}.")
    return model


def _authorize(request: Request, token: str | None) -> None:
    if token is None:
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
        raise Refused(401, "token: expected the header 'Authorization: Bearer <token>' with this server's token.")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})

    app.mount("/page", StaticFiles(directory=PAGE))


class Measured:
    """Around every route: counts and times what is answered, takes HEAD for GET without a body, and hides a defect.

    Plain ASGI: Starlette's `@app.middleware` runs each request in a task of its own, with a stream between the two.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, is_begun, is_head = time.perf_counter(), False, scope["method"] == "HEAD"
        asked = {**scope, "method": "GET"} if is_head else scope

        async def measured(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
                if scope["path"] == "/predict":
                    self._service.meter.answered(message["status"], time.perf_counter() - began)
            await send({**message, "body": b""} if is_head and "body" in message else message)

        try:
            await self._app(asked, receive, measured)
        except Exception:  # a defect of ours: told without its insides, which go to the log
            if is_begun:
                raise
            logger.exception("%s %s", scope["method"], scope["path"])
            await JSONResponse({"error": "the server failed; its log says why."}, 500)(scope, receive, measured)


def _add_errors(app: FastAPI, service: Service) -> None:
    app.add_middleware(Measured, service=service)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        headers = {
            401: {"WWW-Authenticate": "Bearer"},
            503: {"Retry-After": RETRY_AFTER_S},
        }.get(error.status)
        # the rest of a body that nobody reads would be taken for the next request
        closing = {"Connection": "close"} if error.status in (401, 404, 408, 413, 503) else {}
        return JSONResponse({"error": error.reason}, error.status, (headers or {}) | closing)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        reason = f"{request.method} {request.url.path[:100]}: {str(error.detail).lower()}. See /docs."
        return JSONResponse({"error": reason}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        return JSONResponse({"error": "body: the client left before it was sent."}, 400)


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [IMAGE_FIELD],
                    "properties": {
                        IMAGE_FIELD: {"type": "string", "format": "binary"},
                        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                        "nms_iou": {"type": "number", "minimum": 0, "maximum": 1},
                        "version": {"type": "string"},
                    },
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": [IMAGE_FIELD],
                    "properties": {
                        IMAGE_FIELD: {"type": "string", "format": "byte", "description": "base64 of the file"},
                        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                        "nms_iou": {"type": "number", "minimum": 0, "maximum": 1},
                        "version": {"type": "string"},
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_ERROR = {"content": {"application/json": {"example": {"error": "what, where, what to do"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "model": {"name": "yolox-detector", "version": "3"},
                    "image": {"width": 640, "height": 480},
                    "detections": [
                        {
                            "file_name": "",
                            "image_id": 0,
                            "category_id": 1,
                            "category_name": "raccoon",
                            "bbox": [81.0, 88.5, 440.2, 347.1],
                            "score": 0.93,
                        }
                    ],
                    "time_ms": {"decode": 3.1, "wait": 0.4, "network": 14.2, "total": 17.7},
                }
            }
        }
    },
    **{
        status: {"description": text, **_ERROR}
        for status, text in (
            (400, "No image, or a damaged one"),
            (401, "Wrong token"),
            (404, "Another version is served"),
            (408, "Sent too slowly"),
            (413, "Too many bytes or pixels"),
            (415, "A content type that is not known"),
            (422, "A threshold outside 0 to 1, or a parameter that is not known"),
            (503, "Busy"),
        )
    },
}
