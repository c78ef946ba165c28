"""Health and numbers: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.responses import Response

from bothways.api.documents import render
from bothways.api.problems import Problem
from bothways.insight.metrics import CONTENT_TYPE, Metrics

Health = Callable[[], Mapping[str, str | None]]
"""Per role that runs here: None when it does its work, else why not."""


class _Endpoints:
    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def alive(self) -> Response:
        """Whether the process answers at all; says nothing of its work."""
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def ready(self) -> Response:
        """200 when every role that runs here does its work, else 503 with the reasons."""
        roles = dict(self._health())
        waiting = sorted(name for name, reason in roles.items() if reason is not None)
        if waiting:
            raise Problem(503, f"Not ready: {', '.join(waiting)}.", roles=roles)
        return Response(render({"status": "ready", "roles": roles}), media_type="application/json")

    async def metrics(self) -> Response:
        """Numbers for Prometheus."""
        return Response(await self._metrics.page(), headers={"Content-Type": CONTENT_TYPE})


def health_router(health: Health, metrics: Metrics) -> APIRouter:
    """The routes, and each role's readiness as a number."""
    metrics.watch(
        "role_ready",
        "1 when the role does its work, else 0.",
        ["role"],
        lambda: {(name,): float(reason is None) for name, reason in health().items()},
    )
    endpoints = _Endpoints(health, metrics)
    router = APIRouter(tags=["health"])
    for path, endpoint, name in (
        ("/healthz", endpoints.alive, "alive"),
        ("/readyz", endpoints.ready, "ready"),
        ("/metrics", endpoints.metrics, "metrics"),
    ):
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, operation_id=name)
    return router
