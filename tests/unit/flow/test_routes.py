"""Which message is work for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bothways.eventlog.codec import POSITION, encode_change
from bothways.flow.routes import Routes, Unreadable, Work, WorkKey
from bothways.model.change import Change, Operation, Position
from bothways.model.outcome import Direction
from bothways.model.record import RemoteObject
from bothways.model.remote import Happening, RemoteEvent
from bothways.model.values import Values
from bothways.ports import Delivered, RawEvent
from bothways.sync.mapping import EntityMapping, FieldMap
from tests.simulation.catalogue import Table
from tests.unit.flow.parts import Parts

FIELDS = (FieldMap("name", "name"),)
STRIPE = EntityMapping("customer", "stripe", "customer", FIELDS)
OTHERS = (
    EntityMapping("customer", "salesforce", "contact", FIELDS),
    EntityMapping("product", "stripe", "product", FIELDS),
)


class Feed:
    """Events as JSON would be too much for these tests: ``id object_id``, or ``other`` for kinds of no interest."""

    def decode(self, payload: bytes) -> RemoteEvent | None:
        if payload == b"other":
            return None
        event_id, object_id = payload.decode().split(" ")
        return RemoteEvent(event_id, "stripe", "customer", Happening.UPDATED, 1, RemoteObject(object_id))

    async def since(self, created: int, seen: Callable[[str], bool]) -> Sequence[RawEvent]:
        return ()


ROUTES = Routes(
    Parts(STRIPE, Table(("id", "name")), *OTHERS).context,
    tables={
        "own": {"public.customers": "customer"},
        "shared": {"public.customers": "customer", "shop.products": "product"},
    },
    events={"stripe.customer": ("stripe", "customer")},
    feeds={"stripe": Feed()},
)


def change(operation: Operation = Operation.UPDATE, origin: str | None = None, key: str | None = '{"id":1}') -> Change:
    """A change of the first customer."""
    after: Values | None = None if operation is Operation.DELETE else {"id": 1, "name": "Ada"}
    return Change("customer", key, operation, None, after, origin, None, Position("here", (1, 0)), 1000)


def messages(of: Change, topic: str = "own", table: tuple[str, str] = ("public", "customers")) -> list[Delivered]:
    """The change as it lies on the log."""
    found = encode_change(of, topic, {"schema": table[0], "table": table[1]})
    return [Delivered(m.topic, 0, n, m.key, m.value, m.headers, 0) for n, m in enumerate(found)]


def raw(value: bytes | None, topic: str = "own", headers: tuple[tuple[str, bytes], ...] = ()) -> Delivered:
    """Any message."""
    return Delivered(topic, 0, 0, b"key", value, headers, 0)


def work(message: Delivered) -> list[tuple[WorkKey, Work]]:
    """What it asks for."""
    return list(ROUTES.work(message))


def test_a_change_is_work_for_each_system_that_keeps_the_entity() -> None:
    """In order per record and system."""
    (message,) = messages(change())
    keys = [key for key, _ in work(message)]
    assert keys == [WorkKey(Direction.OUT, system, "customer", '{"id":1}') for system in ("stripe", "salesforce")]
    assert work(message)[0][1].change == change()


def test_a_change_is_not_sent_back_to_where_it_came_from() -> None:
    """It goes on to the others."""
    (message,) = messages(change(origin="stripe"))
    assert [key.system for key, _ in work(message)] == ["salesforce"]


def test_tombstones_and_truncates_ask_nothing() -> None:
    """A deletion's work is in its change; a truncate is never propagated."""
    deletion, tombstone = messages(change(Operation.DELETE))
    assert len(work(deletion)) == 2
    assert work(tombstone) == []
    (truncate,) = messages(change(Operation.TRUNCATE, key=None))
    assert work(truncate) == []


def test_on_a_shared_topic_the_table_says_whose_change_it_is() -> None:
    """A table that nothing is mapped to is no concern of ours."""
    (product,) = messages(change(), "shared", ("shop", "products"))
    assert [(key.system, key.entity) for key, _ in work(product)] == [("stripe", "product")]
    (foreign,) = messages(change(), "shared", ("shop", "orders"))
    assert work(foreign) == []


@pytest.mark.parametrize(
    "message",
    [
        raw(b"{}"),
        raw(b"no json", headers=((POSITION, b"here:1:0"),)),
        raw(b'{"op":"u"}', headers=((POSITION, b"here:1:0"),)),
        raw(b'{"op":"z","before":null,"after":null,"source":{"ts_ms":1}}', headers=((POSITION, b"here:1:0"),)),
        raw(b"no json", "shared", headers=((POSITION, b"here:1:0"),)),
        raw(b"[1]", "shared", headers=((POSITION, b"here:1:0"),)),
        raw(b'{"source":7}', "shared", headers=((POSITION, b"here:1:0"),)),
    ],
)
def test_a_message_that_is_no_change_is_told_from_one(message: Delivered) -> None:
    """It becomes a dead letter of the topic's entity, and never stops the reading of the others."""
    with pytest.raises(Unreadable) as caught:
        work(message)
    assert (caught.value.entity, caught.value.system) == ("customer", "")


def test_an_event_is_work_on_its_object() -> None:
    """With the payload as it was, so that it can wait in the state."""
    ((key, item),) = work(raw(b"evt_1 cus_1", "stripe.customer"))
    assert key == WorkKey(Direction.IN, "stripe", "customer", "cus_1")
    assert item.event is not None
    assert (item.event.id, item.payload) == ("evt_1", "evt_1 cus_1")


def test_an_event_of_no_interest_asks_nothing_and_a_damaged_one_is_told() -> None:
    """By system and entity of the topic."""
    assert work(raw(b"other", "stripe.customer")) == []
    with pytest.raises(Unreadable) as caught:
        work(raw(b"damaged", "stripe.customer"))
    assert (caught.value.entity, caught.value.system) == ("customer", "stripe")


def test_all_topics_are_read() -> None:
    """Both directions."""
    assert list(ROUTES.topics) == ["own", "shared", "stripe.customer"]
