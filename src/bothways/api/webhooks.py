"""``POST /webhooks/SYSTEM``: answered 200 when the log has it, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request
from prometheus_client import Counter
from starlette.responses import Response

from bothways.api.problems import Problem
from bothways.api.requests import Bodies
from bothways.flow.receive import Receiver
from bothways.insight.metrics import Metrics
from bothways.insight.seldom import Seldom
from bothways.model.errors import Transient, WebhookRefused

_log = structlog.get_logger(__name__)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The log has it, or it is of no interest."},
    400: {"description": "Malformed, not signed by this system, or too old: sending it again will not help."},
    404: {"description": "No system of that name receives here."},
    413: {"description": "Larger than a webhook may be."},
    503: {
        "description": "The log does not answer, or too much comes at a time: send it again after Retry-After seconds."
    },
}


class _Webhooks:
    """The endpoint over the receivers of this process."""

    def __init__(self, receivers: Mapping[str, Receiver], bodies: Bodies, counted: Counter) -> None:
        self._receivers = receivers
        self._bodies = bodies
        self._counted = counted
        self._seldom = Seldom()

    async def post(
        self, request: Request, system: Annotated[str, Path(description="The system's name in the settings.")]
    ) -> Response:
        """Take an event that a remote system posts. Authenticated by the system's own signature."""
        receiver = self._receivers.get(system)
        if receiver is None:
            raise Problem(404, "No system of that name receives webhooks here.")
        try:
            async with self._bodies.read(request) as body:
                kept = await receiver.receive(body, request.headers)
        except WebhookRefused as error:
            self._counted.labels(system, "refused").inc()
            kept_back = self._seldom.passes((system, str(error)))
            if kept_back is not None:  # whoever forges thousands must not fill the disk
                _log.info("webhook.refused", system=system, reason=str(error), not_told=kept_back)
            raise
        except Transient:
            self._counted.labels(system, "unavailable").inc()
            raise
        self._counted.labels(system, "kept" if kept else "ignored").inc()
        return Response(status_code=200)


def webhooks_router(receivers: Mapping[str, Receiver], bodies: Bodies, metrics: Metrics) -> APIRouter:
    """The route, for the systems that this process receives."""
    counted = metrics.counter("webhooks", "Webhooks by what became of them.", "system", "outcome")
    endpoint = _Webhooks(receivers, bodies, counted)
    router = APIRouter(tags=["webhooks"])
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    router.add_api_route(
        "/webhooks/{system}",
        endpoint.post,
        methods=["POST"],
        responses=_ANSWERS,
        response_class=Response,
        openapi_extra={"requestBody": body},
        operation_id="receive_webhook",
    )
    return router
