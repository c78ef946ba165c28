"""Events: what is told of each effect, and for how long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.sandbox.stripe.difference import replaced
from bothways.sandbox.stripe.events import PRUNE_EVERY
from bothways.sandbox.stripe.words import Document, Json
from tests.unit.sandbox.account import Account, ids, part, raw, refused


@pytest.fixture
def account() -> Account:
    """An empty account."""
    return Account()


def listed(account: Account, **params: object) -> list[str]:
    """Ids of the events that the list shows."""
    return ids(account.state.events.list(raw(params)))


def test_an_event_has_stripes_shape(account: Account) -> None:
    """The published fields; the object as it is after the effect; the request that made it."""
    customer = account.create("customer", name="Ada")
    event = account.last_event
    assert set(event) == {
        *("api_version", "created", "data", "id", "livemode", "object", "pending_webhooks", "request", "type"),
    }
    assert re.fullmatch(r"evt_[A-Za-z0-9]{24}", str(event["id"]))
    assert event["type"] == "customer.created"
    assert event["data"] == {"object": customer}
    assert event["request"] == {"id": "req_1", "idempotency_key": "key-1"}


def test_every_effect_makes_its_event(account: Account) -> None:
    """Created, updated and deleted, of each kind that makes events."""
    customer = account.create("customer")
    account.update(customer, name="x")
    account.delete(customer)
    product = account.create("product", name="x")
    account.update(product, name="y")
    price = account.create("price", product=product["id"], currency="usd", unit_amount=1)
    account.update(price, nickname="n")
    account.delete(account.create("product", name="z"))
    assert [notice.event["type"] for notice in account.notices] == [
        *("customer.created", "customer.updated", "customer.deleted"),
        *("product.created", "product.updated", "price.created", "price.updated", "product.created", "product.deleted"),
    ]
    assert part(account.notices[2].event, "data", "object", "name") == "x", "a deletion shows the object as it was"


def test_an_update_that_changes_nothing_makes_no_event(account: Account) -> None:
    """Nor is anything kept of it."""
    customer = account.create("customer", name="Ada", metadata={"a": "1"}, address={"city": "x"})
    account.update(customer, name="Ada", metadata={"a": "1"}, address={"city": "x"}, expand=["default_source"])
    account.update(customer)
    assert len(account.notices) == 1


@pytest.mark.parametrize(
    ("before", "update", "previous"),
    [
        ({"name": "a", "phone": "1"}, {"name": "b", "phone": "1"}, {"name": "a"}),
        ({}, {"name": "b"}, {"name": None}),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"a": "3", "b": "2"}}, {"metadata": {"a": "1"}}),
        ({"metadata": {"a": "1"}}, {"metadata": {"a": None, "n": "2"}}, {"metadata": {"a": "1", "n": None}}),
        ({"address": {"city": "x", "state": "y"}}, {"address": {"city": "z"}}, {"address": {"city": "x"}}),
        ({}, {"address": {"city": "z"}}, {"address": None}),
        ({"preferred_locales": ["a", "b"]}, {"preferred_locales": ["a"]}, {"preferred_locales": ["a", "b"]}),
        ({}, {"invoice_settings": {"footer": "x"}}, {"invoice_settings": {"footer": None}}),
    ],
)
def test_previous_attributes(
    account: Account, before: dict[str, object], update: dict[str, object], previous: Document
) -> None:
    """Only what changed; nested likewise; lists as a whole; null for what was not there."""
    customer = account.create("customer", **before)
    account.update(customer, **update)
    assert part(account.last_event, "data", "previous_attributes") == previous


LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2))
DOCUMENTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | LEAVES, max_size=3),
    max_leaves=6,
)


def restore(after: Document, previous: Document) -> Document:
    """The state before, as a reader of the event works it out."""
    restored = dict(after)
    for name, old in previous.items():
        now = after.get(name)
        restored[name] = restore(now, old) if isinstance(now, dict) and isinstance(old, dict) else old
    return restored


def without_nulls(value: Json) -> Json:
    """Null and missing are the same to whoever reads."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return value


@given(DOCUMENTS, DOCUMENTS)
def test_previous_attributes_lead_back(before: Document, after: Document) -> None:
    """After with the previous attributes put back is before; there are none only where nothing changed."""
    previous = replaced(before, after)
    assert bool(previous) == (without_nulls(before) != without_nulls(after))
    assert without_nulls(restore(after, previous)) == without_nulls(before)


def test_events_are_listed_newest_first_with_filters(account: Account) -> None:
    """By type, by types, by time, by cursor."""
    customer = account.create("customer")
    account.now += 5
    account.update(customer, name="x")
    account.now += 5
    account.create("product", name="p")
    made = [str(notice.event["id"]) for notice in account.notices]
    created, updated, product = made
    assert listed(account) == [product, updated, created]
    assert listed(account, type="customer.updated") == [updated]
    assert listed(account, type="customer.*") == [updated, created]
    assert listed(account, type="*.created") == [product, created]
    assert listed(account, types=["customer.created", "product.*"]) == [product, created]
    assert listed(account, created={"gte": 1_000_005}) == [product, updated]
    assert listed(account, starting_after=product, limit=1) == [updated]
    assert listed(account, ending_before=created) == [product, updated]
    assert account.state.events.retrieve(created)["type"] == "customer.created"
    with refused(400, param="type"):
        listed(account, type="a", types=["b"])
    with refused(400, param="types"):
        listed(account, types=["a.b"] * 21)
    with refused(400, param="starting_after"):
        listed(account, starting_after="evt_none")
    with refused(400, param="type"):
        listed(account, type="Customer Created")


def test_pending_webhooks_and_their_success(account: Account) -> None:
    """Counts enabled endpoints that want the type; goes down as they take it."""
    account.create("webhook_endpoint", url="http://x.org", enabled_events=["*"])
    account.create("webhook_endpoint", url="http://x.org", enabled_events=["customer.created"])
    account.create("webhook_endpoint", url="http://x.org", enabled_events=["product.created"])
    off = account.create("webhook_endpoint", url="http://x.org", enabled_events=["*"])
    account.update(off, disabled=True)
    account.create("customer")
    event = str(account.last_event["id"])
    assert account.last_event["pending_webhooks"] == 2
    assert len(account.notices[-1].endpoints) == 2
    assert listed(account, delivery_success=False) == [event]
    account.state.events.delivered(event)
    assert listed(account, delivery_success=True) == []
    account.state.events.delivered(event)
    assert listed(account, delivery_success=True) == [event]
    assert account.state.events.retrieve(event)["pending_webhooks"] == 0


def test_events_live_for_thirty_days(account: Account) -> None:
    """Then they are in no list, cannot be retrieved, and are no cursor."""
    customer = account.create("customer")
    old = str(account.last_event["id"])
    account.now += 30 * 24 * 3600 - 10
    account.update(customer, name="x")
    young = str(account.last_event["id"])
    assert listed(account) == [young, old]
    account.now += 11
    with refused(404, code="resource_missing"):
        account.state.events.retrieve(old)
    assert listed(account) == [young]
    with refused(400, param="ending_before"):
        listed(account, ending_before=old)


def test_old_events_take_no_memory(account: Account) -> None:
    """They are thrown away without anybody listing."""
    account.create("customer")
    account.now += 31 * 24 * 3600
    for _ in range(PRUNE_EVERY):
        account.create("customer")
    assert len(account.state.events) == PRUNE_EVERY
