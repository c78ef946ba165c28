"""Webhooks reach real receivers: signed, tried again, and with faults."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import stripe

from bothways.sandbox.stripe import Fault, Rule, Running, Settings, running
from tests.integration.sandbox.conftest import SDK_WARNING
from tests.integration.sandbox.receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


async def add_endpoint(client: stripe.StripeClient, url: str, *types: str) -> stripe.WebhookEndpoint:
    """A webhook endpoint for these events, all if none are named."""
    # the SDK's literal of 250 event types is no help here
    params = {"url": url, "enabled_events": list(types) or ["*"]}
    return await client.v1.webhook_endpoints.create_async(params)  # type: ignore[arg-type]  # see above


async def test_an_event_is_delivered_and_its_signature_holds(
    client: stripe.StripeClient, stripe_sandbox: Running, receiver: Receiver
) -> None:
    """The SDK verifies it with the secret that the creation showed; afterwards nothing is pending."""
    endpoint = await add_endpoint(client, receiver.url)
    assert endpoint.secret
    made = await client.v1.customers.create_async({"name": "Ada"})
    (taken,) = await receiver.wait_for(1)
    event = stripe.Webhook.construct_event(taken.body, taken.signature, endpoint.secret)
    assert event.type == "customer.created"
    assert event.data.object["id"] == made.id
    assert event.pending_webhooks == 1
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(taken.body, taken.signature, "whsec_other")
    await stripe_sandbox.sandbox.deliveries.quiet()
    assert (await client.v1.events.retrieve_async(event.id)).pending_webhooks == 0


async def test_each_endpoint_gets_what_it_asked_for(client: stripe.StripeClient, receiver: Receiver) -> None:
    """Several endpoints, by type, with versions of their own; disabled and deleted ones get nothing."""
    async with receiving() as other, receiving() as off, receiving() as gone:
        await add_endpoint(client, receiver.url)
        await client.v1.webhook_endpoints.create_async(
            {"url": other.url, "enabled_events": ["product.created"], "api_version": "2024-06-20"}
        )
        disabled = await add_endpoint(client, off.url)
        await client.v1.webhook_endpoints.update_async(disabled.id, {"disabled": True})
        deleted = await add_endpoint(client, gone.url)
        await client.v1.webhook_endpoints.delete_async(deleted.id)
        await client.v1.customers.create_async({"name": "Ada"})
        await client.v1.products.create_async({"name": "x"})
        await receiver.wait_for(2)
        (told,) = await other.wait_for(1)
        assert sorted(receiver.types()) == ["customer.created", "product.created"]
        assert told.event["type"] == "product.created"
        assert told.event["api_version"] == "2024-06-20"
        assert {each.event["api_version"] for each in receiver.taken} == {"2026-10-28.endive"}
        assert (off.taken, gone.taken) == ([], [])


async def test_a_receiver_that_fails_is_told_again(
    client: stripe.StripeClient, stripe_sandbox: Running, receiver: Receiver
) -> None:
    """500, 400 and redirects are failures; the same event comes until it is taken."""
    await add_endpoint(client, receiver.url)
    receiver.statuses.extend([500, 302, 400])
    await client.v1.customers.create_async({"name": "Ada"})
    taken = await receiver.wait_for(4)
    await stripe_sandbox.sandbox.deliveries.quiet()
    assert len({each.event["id"] for each in taken}) == 1
    counts = stripe_sandbox.sandbox.delivery_counts()
    assert (counts.delivered, counts.failed_tries, counts.given_up) == (1, 3, 0)


async def test_a_receiver_that_is_not_there_yet(client: stripe.StripeClient, http: httpx.AsyncClient) -> None:
    """Deliveries wait for it."""
    async with receiving() as receiver:
        url = receiver.url
    await add_endpoint(client, url)
    await client.v1.customers.create_async({"name": "Ada"})
    while not (await http.get("/_sandbox/state")).json()["deliveries"]["failed_tries"]:
        pass  # the first try is under way
    late = Receiver()
    late.gate.set()
    server = await asyncio.start_server(late.serve, "127.0.0.1", int(url.split(":")[2].split("/")[0]))
    try:
        await late.wait_for(1)
    finally:
        server.close()


async def test_deliveries_are_given_up_in_the_end(receiver: Receiver) -> None:
    """After so many tries the event stays undelivered, which the list shows."""
    settings = Settings(rate=None, webhook_tries=2, webhook_backoff_seconds=0.01)
    async with running(settings=settings) as served:
        served.sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
        receiver.statuses.extend([500] * 5)
        served.sandbox.create("customer", name="Ada")
        await served.sandbox.deliveries.quiet()
        assert len(receiver.taken) == 2
        assert served.sandbox.delivery_counts().given_up == 1
        async with httpx.AsyncClient(base_url=served.url, auth=("sk_test_x", ""), trust_env=False) as plain:
            undelivered = (await plain.get("/v1/events?delivery_success=false")).json()["data"]
            assert [each["type"] for each in undelivered] == ["customer.created"]


async def test_a_slow_receiver_holds_up_nobody(client: stripe.StripeClient, receiver: Receiver) -> None:
    """The API answers and other endpoints are told while one receiver hangs."""
    async with receiving() as other:
        await add_endpoint(client, receiver.url)
        await add_endpoint(client, other.url)
        receiver.gate.clear()
        for n in range(20):
            await client.v1.customers.create_async({"name": str(n)})
        await other.wait_for(20)
        receiver.gate.set()
        await receiver.wait_for(20)


async def test_a_secret_can_be_rolled(
    client: stripe.StripeClient, stripe_sandbox: Running, receiver: Receiver, http: httpx.AsyncClient
) -> None:
    """Both secrets sign until the old one's time is over."""
    endpoint = await add_endpoint(client, receiver.url)
    assert endpoint.secret
    old = endpoint.secret
    rolled = await http.post("/_sandbox/roll_secret", json={"endpoint": endpoint.id, "keep_seconds": 3600})
    new = str(rolled.json()["secret"])
    assert new != old
    await client.v1.customers.create_async({"name": "Ada"})
    (both,) = await receiver.wait_for(1)
    for secret in (old, new):
        stripe.Webhook.construct_event(both.body, both.signature, secret)
    stripe_sandbox.sandbox.clock.advance(3601)
    await client.v1.customers.create_async({"name": "Bob"})
    one = (await receiver.wait_for(2))[1]
    assert one.signature.count("v1=") == 1
    assert stripe.WebhookSignature.verify_header(one.body, one.signature, new)


async def test_doubled(stripe_sandbox: Running, receiver: Receiver) -> None:
    """The same event twice."""
    sandbox = stripe_sandbox.sandbox
    sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
    sandbox.faults.add(Rule(Fault.DOUBLED, times=1))
    sandbox.create("customer", name="Ada")
    await sandbox.deliveries.quiet()
    first, second = receiver.taken
    assert first.body == second.body


async def test_dropped(stripe_sandbox: Running, receiver: Receiver) -> None:
    """Never delivered; the event list alone has it, as pending."""
    sandbox = stripe_sandbox.sandbox
    sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
    sandbox.faults.add(Rule(Fault.DROPPED, type="customer.created"))
    customer = sandbox.create("customer", name="Ada")
    sandbox.edit("customer", str(customer["id"]), name="Grace")
    await sandbox.deliveries.quiet()
    assert receiver.types() == ["customer.updated"]
    assert sandbox.delivery_counts().dropped == 1
    listed = sandbox.state.events.list({"delivery_success": "false"})["data"]
    assert isinstance(listed, list)
    assert len(listed) == 1


async def test_reordered(stripe_sandbox: Running, receiver: Receiver) -> None:
    """The later event comes first; without a later one it comes by itself."""
    sandbox = stripe_sandbox.sandbox
    sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
    sandbox.faults.add(Rule(Fault.REORDERED, type="customer.created", seconds=5))
    customer = sandbox.create("customer", name="Ada")
    sandbox.edit("customer", str(customer["id"]), name="Grace")
    await receiver.wait_for(2, timeout=4)
    assert receiver.types() == ["customer.updated", "customer.created"]
    sandbox.faults.remove()
    sandbox.faults.add(Rule(Fault.REORDERED, seconds=0.05))
    sandbox.create("customer", name="alone")
    await receiver.wait_for(3)


async def test_late(stripe_sandbox: Running, receiver: Receiver) -> None:
    """It comes after its time, and not before."""
    sandbox = stripe_sandbox.sandbox
    sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
    sandbox.faults.add(Rule(Fault.LATE, seconds=0.3))
    began = asyncio.get_running_loop().time()
    sandbox.create("customer", name="Ada")
    await receiver.wait_for(1)
    assert asyncio.get_running_loop().time() - began >= 0.3
