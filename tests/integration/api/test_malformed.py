"""Malformed requests of every kind: told with a 4xx, never a 5xx, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from bothways.api.app import create_app
from bothways.api.requests import Limits
from bothways.flow.receive import WebhookReceiver
from bothways.insight.metrics import Metrics
from bothways.model.errors import WebhookRefused
from bothways.ports import RawEvent
from tests.integration.api.serving import MemoryRecords, client, exchange, serving

PATHS = ["/v1/records/customer", "/v1/records/customer/1", "/webhooks/stripe", "/healthz", "/readyz", "/docs", "/"]
METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "get", "BREW"]
HEADERS = [
    b"Content-Type: application/json",
    b"Content-Type: application/json; charset=\xff",
    b"Content-Type: \x01",
    b"Authorization: Bearer",
    b"Authorization: \xe4\xf6",
    b"Idempotency-Key: \xff",
    b"Stripe-Signature: t=,v1=,=,,\xff",
    b"Expect: 100-continue",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Cookie: " + b"c" * 3000,
]
BODIES = [b"", b"{}", b'{"name":1}', b'{"name":"\\u0000"}', b"[", b"\x00" * 50, b'5\r\n{"a"\r\n0\r\n\r\n', b"zz\r\n"]


def refuse(body: bytes, headers: object) -> RawEvent | None:
    """No signature is right."""
    raise WebhookRefused(400, "no signature matches the body")


class Nowhere:
    """A log that must not be reached."""

    async def append(self, messages: object) -> None:
        raise AssertionError("a malformed webhook reached the log")


def noise(chance: random.Random, good: bytes) -> bytes:
    """The bytes with some of them changed, dropped or doubled."""
    spoilt = bytearray(good)
    for _ in range(chance.choice([0, 0, 0, 1, 3])):
        at = chance.randrange(len(spoilt))
        match chance.randrange(3):
            case 0:
                spoilt[at] = chance.randrange(256)
            case 1:
                del spoilt[at]
            case _:
                spoilt.insert(at, chance.choice(b"\r\n\x00% /?&=\xff"))
    return bytes(spoilt)


def request(chance: random.Random) -> bytes:
    """A request in which nearly everything may be wrong."""
    path = chance.choice(PATHS) + chance.choice(
        ["", "?limit=x", "?limit=5&limit=-1", "?cursor=%ff", "/%00", "/%2e%2e/", "//"]
    )
    body = chance.choice(BODIES)
    lines = [f"{chance.choice(METHODS)} {path} HTTP/1.1".encode(), b"Host: localhost"]
    lines += chance.sample(HEADERS, chance.randint(0, 4))
    if chance.random() < 0.7:
        lines.append(b"Content-Length: %d" % len(body))
    return noise(chance, b"\r\n".join(lines)) + b"\r\n\r\n" + body


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_malformed_makes_a_5xx(seed: int) -> None:
    """Three hundred spoilt requests a seed: no 5xx, every 4xx is a problem document, and it is still ready."""
    chance = random.Random(seed)
    records = MemoryRecords()
    records.rows[1] = {"id": 1}
    receiver = WebhookReceiver(refuse, Nowhere(), {})
    limits = Limits(body_seconds=0.3)
    app = create_app(metrics=Metrics(), health=dict, records=records, receivers={"stripe": receiver}, limits=limits)
    statuses: set[int] = set()

    async def one(raw: bytes) -> None:
        status, headers, body = await exchange(server, raw)
        assert status < 500, raw
        statuses.add(status)
        if status >= 400:
            assert headers["content-type"] == "application/problem+json", raw
            assert raw.startswith(b"HEAD ") or json.loads(body)["status"] == status

    async with serving(app, head_seconds=0.3) as server, client(server) as http:
        for _ in range(30):
            await asyncio.gather(*(one(request(chance)) for _ in range(10)))
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/v1/records/customer")).status_code == 200
    assert {400, 404, 405} <= statuses
