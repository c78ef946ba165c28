"""Webhooks over a socket, with Stripe's own check of the signature and a real log behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bothways.api.app import create_app
from bothways.connectors.stripe import webhooks
from bothways.eventlog.sqlite import SqliteLog
from bothways.flow.receive import WebhookReceiver
from bothways.insight.metrics import Metrics
from bothways.model.errors import Unavailable
from bothways.ports import Delivered, Message, RawEvent, Topic
from tests.integration.api.serving import client, serving

SECRETS = ["whsec_new", "whsec_old"]
TOPIC = "bothways.stripe.customer"


def event(number: int = 1, kind: str = "customer.updated") -> bytes:
    """An event as Stripe sends it, cut down to what is looked at."""
    customer = {"id": f"cus_{number}", "object": kind.partition(".")[0], "name": "Ada", "metadata": {}}
    return json.dumps(
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": "2026-01-01",
            "created": int(time.time()),
            "livemode": False,
            "type": kind,
            "data": {"object": customer},
            "request": {"id": None, "idempotency_key": None},
        }
    ).encode()


def sign(body: bytes, secret: str = "whsec_new", age: int = 0) -> dict[str, str]:
    """Stripe's header for this body. https://docs.stripe.com/webhooks#verify-manually"""
    at = str(int(time.time()) - age)
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}


@dataclass
class Gated:
    """A log before which an append waits, or fails, when it is told to."""

    log: SqliteLog
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False

    async def append(self, messages: Sequence[Message]) -> None:
        self.asked.set()
        if self.broken:
            raise Unavailable("the log does not answer", retry_after=3.0)
        await self.open.wait()
        await self.log.append(messages)

    async def kept(self) -> list[Delivered]:
        """What the log has."""
        return list((await self.log.tails([TOPIC])).values())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Gated]:
    """A log with the topic."""
    made = SqliteLog(tmp_path / "log.db")
    await made.ensure([Topic(TOPIC, partitions=1)])
    gated = Gated(made)
    gated.open.set()
    yield gated
    await made.close()


@pytest.fixture
async def http(log: Gated) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that receives for the system ``stripe``."""

    def verify(body: bytes, headers: Mapping[str, str]) -> RawEvent | None:
        return webhooks.receive(
            body, headers.get("stripe-signature"), SECRETS, now=time.time(), livemode=False, objects={"customer"}
        )

    receiver = WebhookReceiver(verify, log, {"customer": [TOPIC]})
    app = create_app(metrics=Metrics(), health=lambda: {"webhooks": receiver.ready()}, receivers={"stripe": receiver})
    async with serving(app) as server, client(server) as made:
        yield made


async def test_it_is_answered_when_the_log_has_it(http: httpx.AsyncClient, log: Gated) -> None:
    """No answer while the append is under way; then 200, and the very bytes lie on the log under the remote id."""
    log.open.clear()
    body = event()
    posting = asyncio.create_task(http.post("/webhooks/stripe", content=body, headers=sign(body)))
    await asyncio.wait_for(log.asked.wait(), 5)
    assert (await http.get("/healthz")).status_code == 200
    assert not posting.done()
    assert await log.kept() == []
    log.open.set()
    assert (await posting).status_code == 200
    (kept,) = await log.kept()
    assert (kept.key, kept.value) == (b"cus_1", body)


async def test_every_secret_that_is_valid_counts(http: httpx.AsyncClient, log: Gated) -> None:
    """While a secret is rolled the old one still signs."""
    body = event()
    assert (await http.post("/webhooks/stripe", content=body, headers=sign(body, "whsec_old"))).status_code == 200
    assert len(await log.kept()) == 1


async def test_a_kind_without_a_mapping_is_thanked_for(http: httpx.AsyncClient, log: Gated) -> None:
    """200, so that Stripe does not send it again, and nothing on the log."""
    body = event(kind="charge.succeeded")
    assert (await http.post("/webhooks/stripe", content=body, headers=sign(body))).status_code == 200
    assert await log.kept() == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (event(), sign(event(), "whsec_wrong")),
        (event(), sign(event(2))),
        (event(), sign(event(), age=301)),
        (event(), sign(event(), age=-3600)),
        (event(), {}),
        (event(), {"Stripe-Signature": "v1=00"}),
        (event(), {"Stripe-Signature": "t=1,v1="}),
        (event(), {"Stripe-Signature": "t=" + "9" * 400 + ",v1=00"}),
        (b"", sign(b"")),
        (b"{", sign(b"{")),
        (b"[]", sign(b"[]")),
        (b"null", sign(b"null")),
        (b'{"id":1}', sign(b'{"id":1}')),
        (b"\xff\xfe", sign(b"\xff\xfe")),
        (b'{"a":' * 50_000, sign(b'{"a":' * 50_000)),
        (event().replace(b'"livemode": false', b'"livemode": true'), None),
    ],
)
async def test_forged_old_and_malformed_ones_are_refused(
    http: httpx.AsyncClient, log: Gated, body: bytes, headers: dict[str, str] | None
) -> None:
    """400 with the reason, and nothing on the log: signed by nobody, for another body, too old, or no event."""
    answer = await http.post("/webhooks/stripe", content=body, headers=sign(body) if headers is None else headers)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert await log.kept() == []


async def test_a_log_that_does_not_answer_is_told(http: httpx.AsyncClient, log: Gated) -> None:
    """503 with ``Retry-After``: Stripe sends it again."""
    log.broken = True
    body = event()
    answer = await http.post("/webhooks/stripe", content=body, headers=sign(body))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")


async def test_too_large_and_unknown_are_told(http: httpx.AsyncClient, log: Gated) -> None:
    """More than a megabyte is 413, a system that does not receive here is 404."""
    large = b"x" * (1_048_576 + 1)
    assert (await http.post("/webhooks/stripe", content=large, headers=sign(large))).status_code == 413
    assert (await http.post("/webhooks/salesforce", content=b"{}")).status_code == 404
    assert await log.kept() == []


async def test_outcomes_are_counted(http: httpx.AsyncClient) -> None:
    """Kept, ignored and refused can be told apart on the metrics page."""
    for body, headers in (
        (event(), sign(event())),
        (event(kind="charge.failed"), sign(event(kind="charge.failed"))),
        (event(), {}),
    ):
        await http.post("/webhooks/stripe", content=body, headers=headers)
    page = (await http.get("/metrics")).text
    for outcome in ("kept", "ignored", "refused"):
        assert f'bothways_webhooks_total{{outcome="{outcome}",system="stripe"}} 1.0' in page


async def test_many_at_once_are_all_kept(http: httpx.AsyncClient, log: Gated) -> None:
    """A burst: every one that was answered 200 is on the log, once."""
    bodies = [event(number) for number in range(100)]
    answers = await asyncio.gather(
        *(http.post("/webhooks/stripe", content=body, headers=sign(body)) for body in bodies)
    )
    assert {answer.status_code for answer in answers} == {200}
    found: set[bytes] = set()
    async for delivered in log.log.follow([TOPIC], from_start=True):
        assert delivered.value is not None
        assert delivered.value not in found
        found.add(delivered.value)
        if len(found) == len(bodies):
            break
    assert found == set(bodies)


async def test_a_log_that_fails_shows_in_readiness(http: httpx.AsyncClient, log: Gated) -> None:
    """Not ready from a webhook that could not be kept until one was."""
    body = event()
    assert (await http.get("/readyz")).status_code == 200
    log.broken = True
    assert (await http.post("/webhooks/stripe", content=body, headers=sign(body))).status_code == 503
    waiting = await http.get("/readyz")
    assert waiting.status_code == 503
    assert "does not answer" in waiting.json()["roles"]["webhooks"]
    log.broken = False
    assert (await http.post("/webhooks/stripe", content=body, headers=sign(body))).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
