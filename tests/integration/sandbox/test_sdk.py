"""The official SDK, synchronous and asynchronous, does on the sandbox what it does at Stripe."""

from __future__ import annotations

import pytest
import stripe

from bothways.sandbox.stripe import Running
from tests.integration.sandbox.conftest import SDK_WARNING, close
from tests.servers.sandbox import API_KEY, SandboxProcess

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


def test_the_synchronous_sdk(stripe_process: SandboxProcess) -> None:
    """Create, retrieve, update, list in pages, search, delete, on a process of its own."""
    client = stripe.StripeClient(API_KEY, base_addresses={"api": stripe_process.url}, max_network_retries=0)
    made = [client.v1.customers.create({"name": f"c{n}", "email": "a@x.org"}) for n in range(5)]
    assert client.v1.customers.retrieve(made[0].id).name == "c0"
    updated = client.v1.customers.update(made[0].id, {"address": {"city": "Paris"}, "metadata": {"a": "1"}})
    assert updated.address
    assert updated.address.city == "Paris"
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"a": "1"}

    listed = client.v1.customers.list({"limit": 2, "email": "a@x.org"})
    assert [each.id for each in listed.auto_paging_iter()] == [each.id for each in reversed(made)]
    newer = client.v1.customers.list({"limit": 2, "ending_before": made[0].id})
    assert [each.id for each in newer.auto_paging_iter()] == [each.id for each in made[1:]], "oldest first"

    stripe_process.admin.advance(2)
    found = client.v1.customers.search({"query": "name:'C3'"})
    assert [each.id for each in found.auto_paging_iter()] == [made[3].id]

    deleted = client.v1.customers.delete(made[0].id)
    assert deleted.deleted
    gone = client.v1.customers.retrieve(made[0].id)
    assert gone.deleted

    types = [each.type for each in client.v1.events.list({"type": "customer.*"}).auto_paging_iter()]
    assert types == ["customer.deleted", "customer.updated", *["customer.created"] * 5]
    assert stripe_process.admin.state()["objects"]["customer"] == 4


async def test_the_asynchronous_sdk(client: stripe.StripeClient) -> None:
    """Products with prices, expansion, archive instead of deletion."""
    product = await client.v1.products.create_async({"name": "T-shirt", "metadata": {"sku": "7"}})
    price = await client.v1.prices.create_async({"product": product.id, "currency": "usd", "unit_amount": 500})
    product = await client.v1.products.update_async(
        product.id, {"default_price": price.id, "expand": ["default_price"]}
    )
    assert isinstance(product.default_price, stripe.Price)
    with pytest.raises(stripe.InvalidRequestError, match="user-created prices"):
        await client.v1.products.delete_async(product.id)
    archived = await client.v1.products.update_async(product.id, {"active": False})
    assert archived.active is False
    assert [each.id async for each in (await client.v1.prices.list_async({"product": product.id})).auto_paging_iter()]
    active = await client.v1.products.list_async({"active": True})
    assert active.data == []


async def test_refusals_reach_the_sdk_as_its_own_errors(client: stripe.StripeClient) -> None:
    """Type, status, code, parameter, message, request id."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await client.v1.customers.create_async({"email": "nobody"})
    error = caught.value
    assert (error.http_status, error.code, error.param) == (400, "email_invalid", "email")
    assert error.user_message == "Invalid email address: nobody"
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'") as missing:
        await client.v1.customers.retrieve_async("cus_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdef", "pk_test_0123456789abcdef", "nonsense"])
async def test_other_keys_are_refused(stripe_sandbox: Running, key: str) -> None:
    """Live keys above all; the message does not repeat the key."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(key, base_addresses={"api": stripe_sandbox.url}, http_client=http)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided") as caught:
        await client.v1.customers.list_async()
    assert key not in str(caught.value)
    await close(http)


async def test_restricted_keys_work(stripe_sandbox: Running) -> None:
    """``rk_test_…`` is as good as a secret key."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient("rk_test_1", base_addresses={"api": stripe_sandbox.url}, http_client=http)
    assert (await client.v1.customers.list_async()).data == []
    await close(http)


async def test_a_repeated_key_replays_the_first_answer(client: stripe.StripeClient) -> None:
    """One customer, one event; the answer is the old one, and says so."""
    first = await client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "k"})
    await client.v1.customers.update_async(first.id, {"name": "Grace"})
    again = await client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "k"})
    assert (again.id, again.name) == (first.id, "Ada")
    assert first.last_response
    assert again.last_response
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.request_id
    assert again.last_response.headers["idempotency-key"] == "k"
    created = await client.v1.events.list_async({"type": "customer.created"})
    assert [each.request.idempotency_key for each in created.data if each.request] == ["k"]
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await client.v1.customers.create_async({"name": "Bob"}, {"idempotency_key": "k"})


async def test_keys_end_after_a_day(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """A key of yesterday makes a second customer."""
    first = await client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "k"})
    stripe_sandbox.sandbox.clock.advance(24 * 3600)
    second = await client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "k"})
    assert first.id != second.id


async def test_a_refused_request_can_be_corrected_under_its_key(client: stripe.StripeClient) -> None:
    """Nothing is kept of a validation failure."""
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.create_async({"email": "nobody"}, {"idempotency_key": "k"})
    made = await client.v1.customers.create_async({"email": "ada@x.org"}, {"idempotency_key": "k"})
    assert made.email == "ada@x.org"


async def test_a_key_on_a_deletion_is_shown_and_does_no_more(client: stripe.StripeClient) -> None:
    """Deletions are not replayed (Stripe's docs: keys on DELETE have no effect); the event carries the key."""
    made = await client.v1.customers.create_async({"name": "Ada"})
    await client.v1.customers.delete_async(made.id, None, {"idempotency_key": "k"})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await client.v1.customers.delete_async(made.id, None, {"idempotency_key": "k"})
    (event,) = (await client.v1.events.list_async({"type": "customer.deleted"})).data
    assert event.request
    assert event.request.idempotency_key == "k"


async def test_events_name_their_request(client: stripe.StripeClient) -> None:
    """The event of a call carries its request id and key, and the version."""
    made = await client.v1.customers.create_async({"name": "Ada"}, {"idempotency_key": "k"})
    assert made.last_response
    (event,) = (await client.v1.events.list_async()).data
    assert event.request
    assert (event.request.id, event.request.idempotency_key) == (made.last_response.request_id, "k")
    assert event.api_version == "2026-10-28.endive"
    assert (await client.v1.events.retrieve_async(event.id)).data.object["name"] == "Ada"


async def test_an_edit_by_hand_names_no_request(client: stripe.StripeClient, stripe_sandbox: Running) -> None:
    """As from the dashboard: no request id, no key."""
    made = await client.v1.customers.create_async({"name": "Ada"})
    stripe_sandbox.sandbox.edit("customer", made.id, name="Grace", metadata={"a": "1"})
    event = (await client.v1.events.list_async({"limit": 1})).data[0]
    assert event.type == "customer.updated"
    assert event.request
    assert (event.request.id, event.request.idempotency_key) == (None, None)
    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes.to_dict() == {"name": "Ada", "metadata": {"a": None}}
