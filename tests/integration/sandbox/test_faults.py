"""Each fault of requests is seen to happen, through the official SDK."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import stripe

from bothways.sandbox.stripe import Fault, Rule, Running
from tests.integration.sandbox.conftest import SDK_WARNING
from tests.integration.sandbox.receiver import Receiver

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)

KEY: stripe.RequestOptions = {"idempotency_key": "k"}


async def create(client: stripe.StripeClient) -> stripe.Customer:
    """The call that goes wrong."""
    return await client.v1.customers.create_async({"name": "Ada"}, KEY)


def code(error: stripe.StripeError) -> str | None:
    """The body's code: the SDK's errors for 409 and 429 do not take it over."""
    assert error.error
    return error.error.code


def effects(served: Running) -> int:
    """How many customers there are."""
    return served.sandbox.state.counts()["customer"]


async def test_slow(client: stripe.StripeClient, stripe_sandbox: Running, http: httpx.AsyncClient) -> None:
    """The effect comes late, and the key is taken meanwhile."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.SLOW, seconds=0.3, times=1))
    first = asyncio.create_task(create(client))
    while not (await http.get("/_sandbox/faults")).json()["faults"][0]["happened"]:
        pass  # the request is on its way
    with pytest.raises(stripe.StripeError, match="in-progress request") as caught:
        await create(client)
    assert caught.value.http_status == 409
    assert code(caught.value) == "idempotency_key_in_use"
    assert caught.value.headers
    assert caught.value.headers["stripe-should-retry"] == "true"
    assert effects(stripe_sandbox) == 0
    made = await first
    assert (await create(client)).id == made.id


async def test_slow_answer(client: stripe.StripeClient, stripe_sandbox: Running, receiver: Receiver) -> None:
    """The webhook is there before the answer."""
    stripe_sandbox.sandbox.create("webhook_endpoint", url=receiver.url, enabled_events=["*"])
    stripe_sandbox.sandbox.faults.add(Rule(Fault.SLOW_ANSWER, seconds=0.3, times=1))
    call = asyncio.create_task(create(client))
    (taken,) = await receiver.wait_for(1)
    assert not call.done()
    assert (await call).id == taken.event["data"]["object"]["id"]


async def test_rate_limit(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """429 on demand, without effect; the key stays free."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.RATE_LIMIT, times=1))
    with pytest.raises(stripe.RateLimitError) as caught:
        await create(client)
    assert caught.value.headers
    assert caught.value.headers["stripe-rate-limited-reason"] == "global-rate"
    assert code(caught.value) == "rate_limit"
    assert effects(stripe_sandbox) == 0
    await create(client)
    assert effects(stripe_sandbox) == 1


async def test_the_rate_limit_itself(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """Past the bucket 429, counted; moving the sandbox's clock fills nothing."""
    sandbox = stripe_sandbox.sandbox
    sandbox.limits.set(5)
    answers = await asyncio.gather(
        *(client.v1.customers.create_async({"name": str(n)}) for n in range(8)), return_exceptions=True
    )
    assert [type(each) for each in answers].count(stripe.RateLimitError) == 3
    sandbox.clock.advance(60)
    with pytest.raises(stripe.RateLimitError):
        await create(client)
    assert sandbox.counts["POST", "/v1/customers", 429] == 4


async def test_lock_timeout(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """429 of another kind: without the rate limit's header."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.LOCK_TIMEOUT, times=1))
    with pytest.raises(stripe.StripeError) as caught:
        await create(client)
    assert (caught.value.http_status, code(caught.value)) == (429, "lock_timeout")
    assert caught.value.headers is not None
    assert "stripe-rate-limited-reason" not in caught.value.headers


async def test_unavailable(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """503, nothing kept: the same key works afterwards."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.UNAVAILABLE, times=1))
    with pytest.raises(stripe.APIError) as caught:
        await create(client)
    assert caught.value.http_status == 503
    assert effects(stripe_sandbox) == 0
    await create(client)


@pytest.mark.parametrize(("fault", "customers"), [(Fault.ERROR_BEFORE, 0), (Fault.ERROR_AFTER, 1)])
async def test_stored_errors(
    client: stripe.StripeClient, stripe_sandbox: Running, fault: Fault, customers: int
) -> None:
    """A 500 before or after the effect is repeated under its key, and the client is told not to try again."""
    stripe_sandbox.sandbox.faults.add(Rule(fault, times=1))
    for replayed in (None, "true"):
        with pytest.raises(stripe.APIError) as caught:
            await create(client)
        assert caught.value.http_status == 500
        assert caught.value.headers
        assert caught.value.headers.get("idempotent-replayed") == replayed
        assert caught.value.headers["stripe-should-retry"] == "false"
    assert effects(stripe_sandbox) == customers
    events = (await client.v1.events.list_async()).data
    assert [each.request.idempotency_key for each in events if each.request] == ["k"] * customers


@pytest.mark.parametrize(("fault", "customers"), [(Fault.DROP_BEFORE, 0), (Fault.DROP_AFTER, 1)])
async def test_dropped_connections(
    client: stripe.StripeClient, stripe_sandbox: Running, fault: Fault, customers: int
) -> None:
    """No answer comes; the effect is there or not; the same key gives the answer, once only."""
    stripe_sandbox.sandbox.faults.add(Rule(fault, times=1))
    with pytest.raises(stripe.APIConnectionError):
        await create(client)
    assert effects(stripe_sandbox) == customers
    made = await create(client)
    assert made.last_response
    assert ("idempotent-replayed" in made.last_response.headers) is bool(customers)
    assert effects(stripe_sandbox) == 1


async def test_a_forgotten_key_after_a_lost_answer_makes_a_second(
    client: stripe.StripeClient, stripe_sandbox: Running
) -> None:
    """What a client must guard against."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.DROP_AFTER, times=1))
    with pytest.raises(stripe.APIConnectionError):
        await create(client)
    assert stripe_sandbox.sandbox.keys.forget() == 1
    await create(client)
    assert effects(stripe_sandbox) == 2


async def test_the_sdk_recovers_by_its_own_retries(stripe_sandbox: Running) -> None:
    """A lost answer and a retry with the same key: one customer."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": stripe_sandbox.url}, http_client=http, max_network_retries=1
    )
    stripe_sandbox.sandbox.faults.add(Rule(Fault.DROP_AFTER, times=1))
    made = await client.v1.customers.create_async({"name": "Ada"})
    assert made.name == "Ada"
    assert effects(stripe_sandbox) == 1
    assert [each.replayed for each in stripe_sandbox.sandbox.requests] == [False, True]
    await http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own signature


async def test_faults_choose_their_requests(http: httpx.AsyncClient, stripe_sandbox: Running) -> None:
    """By method, path and content; others go through."""
    sandbox = stripe_sandbox.sandbox
    sandbox.faults.add(Rule(Fault.UNAVAILABLE, method="POST", path="/v1/customers", contains="name=Bob"))
    assert (await http.post("/v1/customers", data={"name": "Ada"})).status_code == 200
    assert (await http.post("/v1/customers", data={"name": "Bob"})).status_code == 503
    assert (await http.get("/v1/customers")).status_code == 200
    assert sandbox.requests[1].fault is Fault.UNAVAILABLE
