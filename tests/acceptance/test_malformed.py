"""What is posted and is no webhook or no record: refused with a reason, and nothing is written."""

from __future__ import annotations

import json
import time

import pytest

from bothways.sandbox.stripe.webhooks import sign
from tests.acceptance import topics
from tests.acceptance.installation import Installation

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.created",
    "created": 1,
    "livemode": False,
    "data": {"object": {"id": "cus_1", "object": "customer"}},
}


def test_webhooks(shop: Installation) -> None:
    """Forged, old, of the other mode, no JSON, no event, not signed at all."""
    now = int(time.time())
    good = json.dumps(EVENT).encode()
    live = json.dumps({**EVENT, "livemode": True}).encode()
    sent = [
        (good, {}),
        (good, {"Stripe-Signature": "nonsense"}),
        (good, {"Stripe-Signature": sign(good, ["whsec_other"], now)}),
        (good, {"Stripe-Signature": sign(good, [shop.secret], now - 3600)}),
        (good + b" ", {"Stripe-Signature": sign(good, [shop.secret], now)}),
        (live, {"Stripe-Signature": sign(live, [shop.secret], now)}),
        *((body, {"Stripe-Signature": sign(body, [shop.secret], now)}) for body in (b"", b"{", b"[]", b"\xff", b"{}")),
    ]
    before = topics.ends(shop)
    for body, headers in sent:
        answer = shop.http("POST", "/webhooks/stripe", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"]
    assert shop.http("POST", "/webhooks/other", content=good).status_code == 404
    assert shop.http("GET", "/webhooks/stripe").status_code == 405
    assert topics.ends(shop) == before
    assert shop.rows() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"nothing": 1}',
        b'{"points": "many"}',
        b'{"points": 1000000}',
        b'{"id": {}}',
        b"\xff",
    ],
)
def test_records(shop: Installation, body: bytes) -> None:
    """No JSON, no object, no such column, no such type, a constraint: a 4xx that says so."""
    answer = shop.http("POST", "/v1/records/customer", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["title"]
    assert shop.rows() == []
