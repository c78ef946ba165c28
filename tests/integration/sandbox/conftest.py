"""The official SDK's client, on the sandbox beside the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import stripe

from bothways.sandbox.stripe import Running
from tests.integration.sandbox.receiver import Receiver, receiving
from tests.servers.sandbox import API_KEY

SDK_WARNING = "ignore:Use 'content=<...>' to upload:DeprecationWarning"
"""The SDK hands encoded bodies to httpx in a way that httpx is about to drop."""


async def close(client: stripe.HTTPXClient) -> None:
    """Let go of the connections."""
    await client.close_async()  # type: ignore[no-untyped-call]  # the SDK's own signature


@pytest.fixture
async def client(stripe_sandbox: Running) -> AsyncIterator[stripe.StripeClient]:
    """Asynchronous, without retries of its own, so that each answer is seen."""
    http = stripe.HTTPXClient(timeout=10)
    yield stripe.StripeClient(
        API_KEY, base_addresses={"api": stripe_sandbox.url}, http_client=http, max_network_retries=0
    )
    await close(http)


@pytest.fixture
async def http(stripe_sandbox: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with a key."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=stripe_sandbox.url, headers=headers, trust_env=False) as plain:
        yield plain


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver."""
    async with receiving() as running:
        yield running
