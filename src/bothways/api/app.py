"""The HTTP application of one process: it serves what the process's roles have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI

from bothways import __version__
from bothways.api import problems
from bothways.api.health import Health, Pauses, Probes, health_router
from bothways.api.observe import Observer
from bothways.api.records import records_router
from bothways.api.reference import reference_router
from bothways.api.requests import ApiKeys, Bodies, Limits
from bothways.api.webhooks import webhooks_router
from bothways.flow.receive import Receiver
from bothways.insight.metrics import Metrics
from bothways.ports import Records

_ABOUT = "Keeps a database and SaaS systems in step. Errors are problem details (RFC 9457)."


def create_app(
    *,
    metrics: Metrics,
    health: Health,
    probes: Probes | None = None,
    pauses: Pauses = dict,
    records: Records | None = None,
    receivers: Mapping[str, Receiver] | None = None,
    api_keys: Sequence[str] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """Make the application. ``records`` belong to the role serve, ``receivers`` (by system) to receive.

    ``/v1`` needs one of ``api_keys``, if there are any. Webhooks are authenticated by their signatures; health,
    metrics and the reference are open to whoever reaches the address.
    """
    bodies = Bodies(limits or Limits())
    app = FastAPI(
        title="bothways",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Observer, metrics=metrics)
    problems.install(app)
    app.include_router(health_router(health, probes or {}, pauses, metrics))
    app.include_router(reference_router(app))
    if receivers:
        app.include_router(webhooks_router(receivers, bodies, metrics))
    if records is not None:
        app.include_router(records_router(records, ApiKeys(api_keys), bodies))
    return app
