"""Health and numbers: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.responses import Response

from bothways.api.documents import render
from bothways.api.problems import Problem
from bothways.insight.hiding import hidden
from bothways.insight.metrics import CONTENT_TYPE, Metrics, Numbers

Health = Callable[[], Mapping[str, str | None]]
"""Per role that runs here: None when it does its work, else why not."""

Probes = Mapping[str, Callable[[], Awaitable[str | None]]]
"""The same for what has to be asked."""


Pauses = Callable[[], Mapping[str, str]]
"""What somebody paused (``stripe out``), and why: it is shown, and is no fault."""


class _Endpoints:
    def __init__(self, health: Health, probes: Probes, pauses: Pauses, metrics: Metrics) -> None:
        self._health = health
        self._probes = probes
        self._pauses = pauses
        self._metrics = metrics

    async def alive(self) -> Response:
        """Whether the process answers at all; says nothing of its work."""
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def ready(self) -> Response:
        """200 when every role that runs here does its work, else 503 with the reasons. What is paused is no fault."""
        roles, paused = await self.roles(), self._pauses()
        waiting = sorted(name for name, reason in roles.items() if reason is not None)
        if waiting:
            raise Problem(503, f"Not ready: {', '.join(waiting)}.", roles=roles, paused=paused)
        told = render({"status": "ready", "roles": roles, "paused": paused})
        return Response(hidden(told.decode()), media_type="application/json")

    async def roles(self) -> dict[str, str | None]:
        """What each says now."""
        return {**self._health(), **{name: await probe() for name, probe in self._probes.items()}}

    async def numbers(self) -> Numbers:
        """Per role 1 when it does its work, else 0."""
        return {(name,): float(reason is None) for name, reason in (await self.roles()).items()}

    async def metrics(self) -> Response:
        """Numbers for Prometheus."""
        return Response(await self._metrics.page(), headers={"Content-Type": CONTENT_TYPE})


def health_router(health: Health, probes: Probes, pauses: Pauses, metrics: Metrics) -> APIRouter:
    """The routes, and each role's readiness as a number."""
    endpoints = _Endpoints(health, probes, pauses, metrics)
    metrics.watch("role_ready", "1 when the role does its work, else 0.", ["role"], endpoints.numbers)
    router = APIRouter(tags=["health"])
    for path, endpoint, name in (
        ("/healthz", endpoints.alive, "alive"),
        ("/readyz", endpoints.ready, "ready"),
        ("/metrics", endpoints.metrics, "metrics"),
    ):
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, operation_id=name)
    return router
