"""Around every request: its time and outcome are counted, and an error that nobody foresaw is logged and told."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bothways.api.problems import unexpected
from bothways.insight.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]

_log = structlog.get_logger(__name__)


class Observer:
    """ASGI middleware. Routes are counted by their template, so that no client can make new time series."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.counter("http_requests", "Requests that were answered.", "method", "route", "status")
        self._seconds = metrics.histogram(
            "http_request_seconds", "From the request's head to the last byte of the answer.", "route"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - the outermost place: logged with its trace, told without
            _log.error("http.failed", method=scope["method"], path=scope["path"], exc_info=error)
            if not status:
                await unexpected().response()(scope, receive, noting)
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(time.perf_counter() - began)
