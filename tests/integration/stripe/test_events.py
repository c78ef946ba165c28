"""Events, asked for."""

from __future__ import annotations

import json

import pytest
from stripe import WebhookSignature

from bothways.connectors.stripe.events import StripeEvents
from bothways.connectors.stripe.webhooks import receive
from bothways.model.errors import Unavailable
from bothways.model.link import Call
from bothways.model.remote import Happening
from bothways.sandbox.stripe import Fault, Rule
from bothways.sync.mapping import lookup
from tests.integration.stripe.bench import StripeBench


def nothing(_: str) -> bool:
    """No event was seen."""
    return False


@pytest.fixture
def events(bench: StripeBench) -> StripeEvents:
    """What happened to customers and products."""
    return StripeEvents(bench.stripe, ["customer", "product"])


async def test_every_event_comes_once_and_the_oldest_first(bench: StripeBench, events: StripeEvents) -> None:
    """From as many pages as it takes; of mapped objects only."""
    made = [await bench.make({"name": f"number {number}"}) for number in range(130)]
    product = bench.sandbox.create("product", name="Mug")
    bench.sandbox.create("price", product=product["id"], currency="eur", unit_amount=100)
    found = await events.since(0, nothing)
    assert [raw.remote_id for raw in found] == [*made, product["id"]]
    assert len({raw.id for raw in found}) == 131
    assert [raw.object for raw in found] == ["customer"] * 130 + ["product"]


async def test_what_was_seen_and_what_is_too_old_is_left_out(bench: StripeBench, events: StripeEvents) -> None:
    """By id, and by the second."""
    await bench.make({"name": "old"})
    bench.sandbox.clock.advance(100)
    one, two = await bench.make({"name": "one"}), await bench.make({"name": "two"})
    since = int(await bench.now()) - 50
    found = await events.since(since, nothing)
    assert [raw.remote_id for raw in found] == [one, two]
    assert [raw.remote_id for raw in await events.since(since, lambda event_id: event_id == found[0].id)] == [two]


async def test_a_clock_that_is_ahead_misses_nothing(bench: StripeBench, events: StripeEvents) -> None:
    """Whoever asks for events of the future gets the newest, not none until that time has come."""
    made = await bench.make({"name": "now"})
    assert [raw.remote_id for raw in await events.since(int(await bench.now()) + 3600, nothing)] == [made]


async def test_an_event_tells_what_a_call_of_ours_did(bench: StripeBench, events: StripeEvents) -> None:
    """Its key, what it replaced, and the object as the call left it."""
    made = await bench.make({"name": "Ada", "address.city": "London"})
    attempt = bench.attempt(Call.UPDATE, made, {"name": "ours", "address.city": "Paris"})
    answer = await bench.remote.call(attempt)
    decoded = events.decode((await events.since(0, nothing))[-1].payload)
    assert decoded is not None
    assert (decoded.happening, decoded.key) == (Happening.UPDATED, attempt.key)
    assert decoded.request_id == answer.request_id
    assert lookup(decoded.previous, "name") == "Ada"
    assert lookup(decoded.previous, "address.city") == "London"
    assert lookup(decoded.snapshot.document, "address.city") == "Paris"


async def test_deletions_and_hand_made_changes_are_told(bench: StripeBench, events: StripeEvents) -> None:
    """Nobody's key is on what people do."""
    made = await bench.make({"name": "Ada"})
    await bench.drop(made)
    created, deleted = [events.decode(raw.payload) for raw in await events.since(0, nothing)]
    assert created is not None
    assert deleted is not None
    assert (created.happening, created.key, created.snapshot.gone) == (Happening.CREATED, None, False)
    assert (deleted.happening, deleted.key, deleted.snapshot.gone) == (Happening.DELETED, None, True)


async def test_a_webhook_and_the_list_show_the_same_event(bench: StripeBench, events: StripeEvents) -> None:
    """Whichever comes first is taken, and both decode alike."""
    await bench.make({"name": "Zoë \u2028 \U0001f600"})
    (raw,) = await events.since(0, nothing)

    body = json.dumps(json.loads(raw.payload), indent=2).encode()
    header = str(WebhookSignature.generate_signature_header(body.decode(), "whsec_x", raw.created))
    posted = receive(body, header, ["whsec_x"], now=raw.created, livemode=False, objects=["customer"])
    assert posted is not None
    assert (posted.id, posted.remote_id, posted.created) == (raw.id, raw.remote_id, raw.created)
    assert events.decode(posted.payload) == events.decode(raw.payload)


async def test_an_unmapped_object_is_nothing(bench: StripeBench, events: StripeEvents) -> None:
    """On a log that several settings have filled, other kinds are passed over."""
    await bench.make({"name": "Ada"})
    (raw,) = await events.since(0, nothing)
    assert StripeEvents(bench.stripe, ["product"]).decode(raw.payload) is None


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"object":"event"}', b"\xff"])
async def test_what_is_no_event_is_an_error(events: StripeEvents, payload: bytes) -> None:
    """It is the caller's to dead-letter."""
    with pytest.raises(ValueError):
        events.decode(payload)


async def test_a_list_that_breaks_off_gives_nothing(bench: StripeBench, events: StripeEvents) -> None:
    """All or nothing: the second page's failure is the call's."""
    for number in range(120):
        await bench.make({"name": f"number {number}"})
    bench.sandbox.faults.add(_second_page())
    with pytest.raises(Unavailable):
        await events.since(0, nothing)
    assert len(await events.since(0, nothing)) == 120


def _second_page() -> Rule:
    return Rule(Fault.UNAVAILABLE, path="/v1/events", skip=1, times=1)
