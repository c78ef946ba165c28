"""What was decided, in one transaction: rows, column by column where it must be; marker, dead letters, who is woken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bothways.flow.apply import Source, apply, attempt_over, link_made, plain
from bothways.model.errors import RowRefused
from bothways.model.link import Base, Link, Window
from bothways.model.outcome import Direction, Parked
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import Deletes, EntityMapping, FieldMap, MarkColumn
from bothways.sync.merge import BadValue, Merge, observe
from bothways.sync.outward import Taken, taken_away
from tests.simulation.catalogue import MemoryTransaction, Table
from tests.unit.flow.parts import SYSTEM, Parts
from tests.unit.sync.pair import sent

MAPPING = EntityMapping(
    "customer",
    SYSTEM,
    "customer",
    (FieldMap("name", "name"), FieldMap("phone", "phone"), FieldMap("tier", "metadata.tier")),
)
OLD: dict[str, Value] = {"name": "old", "phone": "old", "tier": "old"}
SOURCE = Source("evt_1", '{"id":"evt_1"}')


def refuse(column: str, value: Value) -> str | None:
    """The table's constraints."""
    return f"{column} must not be {value}" if value == "bad" else None


def parts(mapping: EntityMapping = MAPPING, *, unique: tuple[str, ...] = ()) -> Parts:
    """A table with a check."""
    return Parts(mapping, Table(("id", "name", "phone", "tier", "stripe_id", "state"), unique=unique, check=refuse))


async def linked(here: Parts) -> tuple[RecordId, Link]:
    """A row that is in step with ``cus_1``."""
    record = await here.insert(**OLD)
    link = Link(record, SYSTEM, "token", remote_id="cus_1", base=Base(OLD, OLD), window=Window(1, 1))
    async with here.catalogue.transaction() as tx:
        await tx.links.save(link)
    return record, link


async def merge(here: Parts, link: Link, **seen: Value) -> Link:
    """Merge a picture that shows these values."""
    async with here.catalogue.transaction() as tx:
        row = await tx.rows.read(link.record, lock=True)
        found = observe(here.mapping, link, row, {**OLD, **seen}, Window(5, 5), found_in="event")
        return (await apply(tx, here.mapping, link, plain(found), row, SOURCE)).link


async def test_all_columns_are_written_at_once_and_marked() -> None:
    """One row change, with the origin, so that it is not sent back."""
    here = parts()
    record, link = await linked(here)
    after = await merge(here, link, name="new", phone="123")
    assert {**here.row(record), "id": None} == {**here.row(record), "id": None, "name": "new", "phone": "123"}
    change = here.database.wal[-1]
    assert (change.origin, change.cause) == (SYSTEM, "evt_1")
    assert len(here.database.wal) == 2
    assert after.base == Base({**OLD, "name": "new", "phone": "123"}, {**OLD, "name": "new", "phone": "123"})


async def test_what_the_database_refuses_stays_out_and_the_rest_goes_through() -> None:
    """A dead letter names record, field, reason and what to do; the value is not tried again."""
    here = parts()
    record, link = await linked(here)
    after = await merge(here, link, name="new", phone="bad", tier="gold")
    assert (here.row(record)["name"], here.row(record)["phone"], here.row(record)["tier"]) == ("new", "old", "gold")
    (letter,) = here.letters
    assert (letter.direction, letter.key, letter.field) == (Direction.IN, record.key, "phone")
    assert "must not be bad" in letter.reason
    assert letter.hint
    assert (letter.payload, letter.change) == ('{"id":"evt_1"}', "evt_1")
    assert after.refused_inward == {"phone": "bad"}
    assert after.base.row["phone"] == after.base.remote["phone"] == "old"
    again = await merge(here, after, name="new", phone="bad", tier="gold")
    assert len(here.letters) == 1
    assert again.base == after.base


async def test_a_unique_constraint_is_a_refusal_of_its_column() -> None:
    """Another row has the value."""
    here = parts(unique=("phone",))
    await here.insert(name="other", phone="123")
    _, link = await linked(here)
    after = await merge(here, link, name="new", phone="123")
    assert [letter.field for letter in here.letters] == ["phone"]
    assert after.base.row["name"] == "new"


async def test_a_write_that_leaves_something_to_send_carries_no_marker() -> None:
    """Somebody edited another column meanwhile: the change must go out, marked it would not."""
    here = parts()
    _, link = await linked(here)
    edited = replace(link, base=Base({**OLD, "tier": "sent before"}, OLD))
    await merge(here, edited, name="new")
    assert here.database.wal[-1].origin is None


async def test_a_value_without_a_counterpart_is_a_letter() -> None:
    """The event cannot be taken as it is; it is not tried again."""
    here = parts()
    _, link = await linked(here)
    bad = Merge(link, bad=(BadValue("phone", 7, "7 is no text"),))
    async with here.catalogue.transaction() as tx:
        row = await tx.rows.read(link.record, lock=True)
        after = (await apply(tx, MAPPING, link, plain(bad), row, Source("key_1"))).link
    (letter,) = here.letters
    assert (letter.field, letter.reason, letter.payload) == ("phone", "7 is no text", '{"phone": 7}')
    assert after.refused_inward == {"phone": 7}


async def test_the_remote_id_is_written_back() -> None:
    """Into the user's own column, once."""
    mapping = replace(MAPPING, id_column="stripe_id")
    here = parts(mapping)
    record, link = await linked(here)
    after = await merge(here, link)
    assert here.row(record)["stripe_id"] == "cus_1"
    changes = len(here.database.wal)
    await merge(here, after)
    assert len(here.database.wal) == changes


@pytest.mark.parametrize("policy", Deletes)
async def test_a_deletion_comes_in(policy: Deletes) -> None:
    """The row goes, says so, or stays; the object's id is never used again."""
    mapping = replace(MAPPING, deletes_in=policy, mark_in=MarkColumn("state", "gone"))
    here = parts(mapping)
    record, link = await linked(here)
    async with here.catalogue.transaction() as tx:
        row = await tx.rows.read(record, lock=True)
        await apply(tx, mapping, link, taken_away(mapping, link, row), row, SOURCE)
    async with here.catalogue.transaction() as tx:
        left = await tx.rows.read(record)
        assert await tx.index.is_retired(SYSTEM, "customer", "cus_1")
    assert (left is None) == (policy is Deletes.PROPAGATE)
    if left is not None:
        assert left.values["state"] == ("gone" if policy is Deletes.MARK else None)


async def test_a_deletion_that_a_foreign_key_forbids_is_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never cascades: the row stays, and somebody is told."""
    here = parts()
    record, link = await linked(here)

    async def forbidden(tx: MemoryTransaction, record: RecordId) -> None:
        raise RowRefused("an invoice points to it")

    monkeypatch.setattr(MemoryTransaction, "delete", forbidden)
    async with here.catalogue.transaction() as tx:
        row = await tx.rows.read(record, lock=True)
        await apply(tx, MAPPING, link, taken_away(MAPPING, link, row), row, SOURCE)
    assert here.row(record)["name"] == "old"
    assert [letter.reason for letter in here.letters] == ["an invoice points to it"]


async def test_who_waits_is_woken() -> None:
    """Events by the end of the call, references by the new link."""
    here = parts()
    record, link = await linked(here)
    names = {"call": attempt_over(SYSTEM, "cus_1"), "link": link_made(SYSTEM, "customer", record.key), "other": "x"}
    async with here.catalogue.transaction() as tx:
        for name, waits_on in names.items():
            await tx.waiting.park(Parked(name, Direction.IN, SYSTEM, "customer", "k", waits_on, due=9e9))
        calling = replace(link, attempt=sent({"a": 1}))
        await apply(tx, MAPPING, calling, Taken(Merge(link), born=True), None, SOURCE)
    async with here.catalogue.transaction() as tx:
        assert {parked.id for parked in await tx.waiting.take_due(1000.0, 10, 60.0)} == {"call", "link"}
