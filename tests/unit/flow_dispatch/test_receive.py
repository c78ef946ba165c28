"""Webhooks on their way to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from bothways.flow.receive import WebhookReceiver
from bothways.model.errors import Unavailable, WebhookRefused
from bothways.ports import Message, RawEvent


class Kept:
    """A log that keeps what is appended once it is let."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.open = asyncio.Event()

    async def append(self, messages: Sequence[Message]) -> None:
        await self.open.wait()
        self.messages.extend(messages)


def verify(body: bytes, headers: Mapping[str, str]) -> RawEvent | None:
    """Everything is genuine but ``forged``; ``other`` is of no interest."""
    if body == b"forged":
        raise WebhookRefused(400, "forged")
    return None if body == b"other" else RawEvent("evt_1", headers["kind"], "cus_1", 1, body)


TOPICS = {"customer": ("t.stripe.customer", "t.stripe.guest"), "product": ("t.stripe.product",)}


async def test_it_returns_when_the_log_has_it() -> None:
    """Not before; the message is keyed by the remote id, its body as it came, on each entity's topic."""
    log = Kept()
    receiver = WebhookReceiver(verify, log, TOPICS)
    receiving = asyncio.create_task(receiver.receive(b"{ }", {"kind": "customer"}))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not receiving.done()
    log.open.set()
    assert await receiving is True
    assert log.messages == [Message(topic, b"cus_1", b"{ }") for topic in TOPICS["customer"]]


async def test_what_is_of_no_interest_is_not_kept() -> None:
    """Kinds that nothing is mapped to are taken and dropped."""
    log = Kept()
    receiver = WebhookReceiver(verify, log, TOPICS)
    assert await receiver.receive(b"other", {}) is False
    assert await receiver.receive(b"x", {"kind": "invoice"}) is False
    assert log.messages == []


async def test_a_refusal_comes_out_as_it_is() -> None:
    """A forged webhook never reaches the log."""
    log = Kept()
    log.open.set()
    with pytest.raises(WebhookRefused):
        await WebhookReceiver(verify, log, TOPICS).receive(b"forged", {})
    assert log.messages == []


async def test_a_log_that_hangs_is_unavailable() -> None:
    """The sender is told to try again before it loses patience itself."""
    receiver = WebhookReceiver(verify, Kept(), TOPICS, append_seconds=0.01)
    with pytest.raises(Unavailable) as caught:
        await receiver.receive(b"x", {"kind": "product"})
    assert caught.value.retry_after == 5.0
