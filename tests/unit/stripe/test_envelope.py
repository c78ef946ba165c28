"""Events as the flow takes them."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.connectors.stripe.envelope import Envelope, open_envelope
from bothways.connectors.stripe.objects import object_type
from bothways.connectors.stripe.params import archive_params
from bothways.model.record import Mark
from bothways.model.remote import Happening
from bothways.model.values import Values

METADATA = {"bothways_installation": "here", "bothways_link": "token", "bothways_key": "7"}


def opened(kind: str, shown: Values, **changes: Any) -> Envelope:
    """The event of this type about this object."""
    document: dict[str, Any] = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": 17,
        "livemode": True,
        "data": {"object": shown},
        "request": {"id": "req_1", "idempotency_key": "key_1"},
    }
    envelope = open_envelope(document | changes, ("customer", "product"), livemode=True)
    assert envelope is not None
    return envelope


def test_an_update_shows_the_object_and_what_it_was() -> None:
    """Snapshot, replaced values, mark, and the request that made it."""
    shown: Values = {"id": "cus_1", "name": "Ada", "metadata": METADATA}
    previous: Values = {"name": "A", "address": {"city": None}}
    event = opened("customer.updated", shown, data={"object": shown, "previous_attributes": previous}).event("stripe")
    assert event.happening is Happening.UPDATED
    assert event.snapshot.document == shown
    assert event.snapshot.mark == Mark("here", "token", "7")
    assert event.previous == previous
    assert (event.system, event.object, event.created) == ("stripe", "customer", 17)
    assert (event.key, event.request_id) == ("key_1", "req_1")


def test_a_deletion_shows_nothing_but_whose_it_was() -> None:
    """Stripe sends the object as it was before; it is gone all the same, and its mark is kept."""
    event = opened("customer.deleted", {"id": "cus_1", "name": "Ada", "metadata": METADATA}).event("stripe")
    assert event.happening is Happening.DELETED
    assert event.snapshot.gone
    assert event.snapshot.document == {}
    assert event.snapshot.mark == Mark("here", "token", "7")


def test_archiving_is_a_deletion() -> None:
    """What we archived because it could not be deleted is gone; what people archive changes."""
    archived = {"id": "prod_1", **archive_params(object_type("product"))}
    assert opened("product.updated", archived).happening is Happening.DELETED
    assert opened("product.updated", {"id": "prod_1", "active": False}).happening is Happening.UPDATED


@pytest.mark.parametrize("request_", [None, {"id": None, "idempotency_key": None}, {}])
def test_what_no_request_made_has_no_key(request_: object) -> None:
    """The dashboard's edits, and Stripe's own."""
    envelope = opened("customer.updated", {"id": "cus_1"}, request=request_)
    assert (envelope.key, envelope.request_id) == (None, None)


def test_old_versions_name_the_request_only() -> None:
    """Before 2017-05-25 ``request`` was the id itself."""
    assert opened("customer.updated", {"id": "cus_1"}, request="req_1").request_id == "req_1"
