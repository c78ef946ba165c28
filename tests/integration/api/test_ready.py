"""Readiness of the records: whether the database answers."""

from __future__ import annotations

import asyncio
import socket

from bothways.api.app import create_app
from bothways.api.probe import Probe
from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.insight.metrics import Metrics
from bothways.model.errors import Unavailable
from tests.integration.api.serving import client, serving


async def test_a_database_that_is_there_is_ready(database: str) -> None:
    """200, with the records among what is ready."""
    assert await _readiness(database) == (200, None)


async def test_a_database_that_is_away_is_not_ready() -> None:
    """503: no record could be read or written."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        status, reason = await _readiness(f"postgresql://x@127.0.0.1:{closed.getsockname()[1]}/x")
    assert status == 503
    assert reason


async def test_a_probe_asks_once_for_many() -> None:
    """An answer holds for its time, also for those who ask at the same moment; then it is asked anew."""
    asked = 0

    async def check() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise Unavailable("away")

    probe = Probe(check, every=60)
    assert set(await asyncio.gather(*(probe() for _ in range(5)))) == {"away"}
    assert asked == 1
    eager = Probe(check, every=0)
    await eager()
    await eager()
    assert asked == 3


async def test_a_probe_does_not_wait_for_ever() -> None:
    """What hangs is not ready."""
    assert await Probe(asyncio.Event().wait, wait=0.01)() == "no answer in 0.01 s"


async def _readiness(url: str) -> tuple[int, str | None]:
    catalogue = PostgresCatalogue(url, [])
    app = create_app(metrics=Metrics(), health=dict, probes={"records": Probe(catalogue.check)})
    async with serving(app) as server, client(server) as http:
        answer = await http.get("/readyz")
    await catalogue.close()
    return answer.status_code, answer.json()["roles"]["records"]
