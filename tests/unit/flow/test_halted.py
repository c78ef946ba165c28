"""What is put aside while an entity stands still, and what comes back of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bothways.flow.halted import Halted, move_of, wake
from bothways.flow.lanes import load_trigger, trigger_of
from bothways.flow.routes import Work, WorkKey
from bothways.model.change import Change, Operation, Position
from bothways.model.errors import MappingBroken
from bothways.model.outcome import Direction, Parked
from bothways.model.record import RemoteObject
from bothways.model.remote import Happening, RemoteEvent
from bothways.model.values import Values
from bothways.sync.mapping import LATEST, EntityMapping, FieldMap
from tests.simulation.catalogue import Table
from tests.unit.flow.parts import SYSTEM, Parts

KEY = '{"id":1}'
OUT = WorkKey(Direction.OUT, SYSTEM, "customer", KEY)
IN = WorkKey(Direction.IN, SYSTEM, "customer", "cus_1")
GONE = MappingBroken("there is no column 'name'", entity="customer")
EVENT = RemoteEvent("evt_1", SYSTEM, "customer", Happening.UPDATED, 1, RemoteObject("cus_1"))


def parts(wins: str = "database") -> Parts:
    """One entity of one system."""
    return Parts(
        EntityMapping("customer", SYSTEM, "customer", (FieldMap("name", "name", wins=wins),)), Table(("id", "name"))
    )


def change(number: int, operation: Operation = Operation.UPDATE, *, to: str | None = None) -> Change:
    """The record's change at this place of the WAL."""
    after: Values | None = None if operation is Operation.DELETE else {"id": 1, "name": f"n{number}"}
    position = Position("here", (number, 0))
    return Change("customer", KEY, operation, None, after, None, None, position, number * 1000, moved_to=to)


async def taken(of: Parts) -> Sequence[Parked]:
    """What is due once the entity goes on, in its order."""
    async with of.catalogue.transaction() as tx:
        assert await tx.waiting.take_due(of.clock.now(), 100, 60.0) == []
        await wake(tx, "customer")
        return await tx.waiting.take_due(of.clock.now(), 100, 60.0)


async def test_a_record_that_changes_often_waits_once() -> None:
    """The row will tell all."""
    found = parts()
    halted = Halted(found.context)
    for number in range(5):
        await halted.put_aside(OUT, [Work(change=change(number))], GONE)
    (parked,) = await taken(found)
    assert (parked.key, parked.payload, load_trigger(parked.payload), move_of(parked)) == (KEY, "", None, None)
    assert "customer stands still: there is no column 'name'" in (halted.ready() or "")


async def test_what_the_row_will_not_tell_is_kept() -> None:
    """A deletion with its time, and a changed key, each by itself and in their order."""
    found = parts()
    halted = Halted(found.context)
    moved = change(12, Operation.DELETE, to='{"id":2}')
    await halted.put_aside(OUT, [Work(change=change(9, Operation.DELETE)), Work(change=moved)], GONE)
    first, second = await taken(found)
    assert load_trigger(first.payload) == trigger_of([Work(change=change(9, Operation.DELETE))])
    back = move_of(second)
    assert back is not None
    assert (back.moved_to, back.operation, back.position) == ('{"id":2}', Operation.DELETE, moved.position)
    assert trigger_of([Work(change=back, trigger=load_trigger(second.payload))]).deleted is False


async def test_times_of_edits_are_kept_where_the_later_one_wins() -> None:
    """And put aside again as they were, should it stand still again."""
    found = parts(LATEST)
    halted = Halted(found.context)
    await halted.put_aside(OUT, [Work(change=change(7))], GONE)
    (parked,) = await taken(found)
    trigger = load_trigger(parked.payload)
    assert trigger == trigger_of([Work(change=change(7))])
    await halted.put_aside(OUT, [Work(trigger=trigger, parked=parked.id)], GONE)
    assert await taken(found) == [parked]


@pytest.mark.parametrize(
    ("key", "work"),
    [
        (OUT, Work()),
        (OUT, Work(parked="out:stripe:customer:1")),
        (OUT, Work(trigger=None, parked="lane:1")),
        (IN, Work(event=EVENT, payload="e", parked="replay:1", again=True)),
    ],
)
async def test_what_is_in_the_state_anyway(key: WorkKey, work: Work) -> None:
    """Comes again from there."""
    found = parts()
    await Halted(found.context).put_aside(key, [work], GONE)
    assert await taken(found) == []


async def test_an_event_waits_with_its_payload() -> None:
    """Once, however often it comes."""
    found = parts()
    halted = Halted(found.context)
    for _ in range(2):
        await halted.put_aside(IN, [Work(event=EVENT, payload="as it came")], GONE)
    (parked,) = await taken(found)
    assert (parked.direction, parked.key, parked.payload) == (Direction.IN, "cus_1", "as it came")


async def test_an_entity_that_goes_on_meanwhile() -> None:
    """What is put aside after it was found whole is due at once: nobody else would wake it."""
    found = parts()
    await Halted(found.context).put_aside(OUT, [Work(change=change(1))])
    async with found.catalogue.transaction() as tx:
        assert [each.key for each in await tx.waiting.take_due(found.clock.now(), 100, 60.0)] == [KEY]


async def test_another_entitys_table_is_gone() -> None:
    """It is that entity that stands still, and this work waits for it."""
    found = parts()
    halted = Halted(found.context)
    await halted.put_aside(OUT, [Work(change=change(1))], MappingBroken("no table", entity="product"))
    assert list(halted.reasons) == ["product"]
    async with found.catalogue.transaction() as tx:
        await wake(tx, "product")
        assert [each.entity for each in await tx.waiting.take_due(found.clock.now(), 100, 60.0)] == ["customer"]
