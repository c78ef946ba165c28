"""What is kept for people, and for how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.model.errors import NoSuchRecord
from bothways.model.outcome import Conflict, DeadLetter, Direction, Parked
from bothways.model.record import RecordId
from bothways.state.cleanup import DAY, Cleanup, rules
from bothways.state.people import PairCount
from tests.suites.catalogue import ended, still_waits
from tests.suites.catalogue_state import ADA, ATTEMPT, GRACE

LETTER = DeadLetter(
    direction=Direction.OUT,
    system="stripe",
    entity="customer",
    key=ADA.key,
    field="email",
    reason="Invalid email address",
    hint="change it",
    payload='{"email":"x"}',
    change="changes 0 7",
)
CONFLICT = Conflict(ADA, "stripe", "name", "Ada", {"of": ["any", 1]}, "database", "event")


async def keep(catalogue: PostgresCatalogue, *letters: DeadLetter) -> None:
    """Note dead letters."""
    async with catalogue.transaction() as tx:
        for letter in letters:
            await tx.journal.note(letter)


async def test_dead_letters_are_listed_and_shown(catalogue: PostgresCatalogue) -> None:
    """The newest first, in pages, by entity and system; each as it was noted."""
    others = [replace(LETTER, entity="invoice"), replace(LETTER, system="salesforce", field=None)]
    await keep(catalogue, LETTER, *others)
    async with catalogue.transaction() as tx:
        letters = tx.people.letters
        kept = await letters.list()
        assert [each.letter for each in kept] == [*reversed(others), LETTER]
        assert [each.letter for each in await letters.list(limit=1, before=kept[0].id)] == [others[0]]
        assert [each.letter for each in await letters.list(entity="invoice")] == [others[0]]
        assert [each.letter for each in await letters.list(system="salesforce")] == [others[1]]
        assert await letters.get(kept[0].id) == kept[0]
        with pytest.raises(NoSuchRecord):
            await letters.get(4711)


async def test_a_dead_letter_that_is_noted_again_is_kept_once(prepared: str) -> None:
    """In the place of the first, with the newest time; on its topic again only if more than the time is new."""
    clock = [1.0]
    catalogue = PostgresCatalogue(prepared, [], now=lambda: clock[0])
    fieldless = replace(LETTER, field=None)
    await keep(catalogue, LETTER, fieldless)
    async with catalogue.transaction() as tx:
        ids = [each.id for each in await tx.people.letters.list()]
        await tx.people.letters.set_published(ids)
        await tx.people.letters.mark_for_replay(ids[:1])
    clock[0] = 2.0
    later = replace(LETTER, payload="{}", change="changes 0 8", hint="look again")
    await keep(catalogue, later, fieldless)
    async with catalogue.transaction() as tx:
        kept = await tx.people.letters.list()
        assert [(each.id, each.at, each.letter) for each in kept] == [(ids[0], 2.0, fieldless), (ids[1], 2.0, later)]
        assert [each.id for each in await tx.people.letters.unpublished(9)] == [ids[1]]
        assert [each.replay for each in kept] == [True, False]
    others = [replace(LETTER, reason="Too long"), replace(LETTER, key="8"), replace(LETTER, direction=Direction.IN)]
    await keep(catalogue, *others)
    async with catalogue.transaction() as tx:
        assert await tx.people.letters.extent() == (5, max(each.id for each in await tx.people.letters.list()))
        assert await tx.people.letters.drop_until(max(ids)) == 2
        assert [each.letter for each in await tx.people.letters.list()] == others[::-1]
    await catalogue.close()


async def test_two_that_note_the_same_at_once_keep_it_once(catalogue: PostgresCatalogue) -> None:
    """The second waits for the first."""
    async with catalogue.transaction() as tx:
        await tx.journal.note(LETTER)
        second = asyncio.create_task(keep(catalogue, LETTER))
        assert await still_waits(second)
    await ended(second)
    async with catalogue.transaction() as tx:
        assert await tx.people.letters.extent() == (1, (await tx.people.letters.list())[0].id)


async def test_dead_letters_are_dropped_and_replayed(catalogue: PostgresCatalogue) -> None:
    """What is to be replayed is taken out once, by one worker, with its transaction."""
    await keep(catalogue, *(replace(LETTER, key=str(number)) for number in range(4)))
    async with catalogue.transaction() as tx:
        ids = [each.id for each in await tx.people.letters.list()]
        assert await tx.people.letters.drop([ids[0], 4711]) == 1
        assert await tx.people.letters.mark_for_replay(ids[1:3]) == 2
    async with catalogue.transaction() as tx:
        taken = await tx.people.letters.take_marked(1)
        assert [each.letter.key for each in taken] == ["1"]
        async with catalogue.transaction() as other:
            assert [each.letter.key for each in await other.people.letters.take_marked(9)] == ["2"]
    async with catalogue.transaction() as tx:
        assert await tx.people.letters.take_marked(9) == []
        assert [each.letter.key for each in await tx.people.letters.list()] == ["0"]


async def test_dead_letters_are_published_once(catalogue: PostgresCatalogue) -> None:
    """A sweeper sees what is not on the topic, the oldest first; two sweepers see different ones."""
    await keep(catalogue, *(replace(LETTER, key=str(number)) for number in range(3)))
    async with catalogue.transaction() as tx:
        first = await tx.people.letters.unpublished(1)
        async with catalogue.transaction() as other:
            rest = await other.people.letters.unpublished(9)
            assert [each.letter.key for each in [*first, *rest]] == ["0", "1", "2"]
        await tx.people.letters.set_published([each.id for each in first])
    async with catalogue.transaction() as tx:
        assert [each.letter.key for each in await tx.people.letters.unpublished(9)] == ["1", "2"]
        assert (await tx.people.letters.get(first[0].id)).published


async def test_conflicts_are_listed_and_shown(catalogue: PostgresCatalogue) -> None:
    """The newest first, of one record if asked; values of any kind."""
    other = replace(CONFLICT, record=GRACE, winner="review")
    async with catalogue.transaction() as tx:
        await tx.journal.note(CONFLICT)
        await tx.journal.note(other)
    async with catalogue.transaction() as tx:
        conflicts = tx.people.conflicts
        kept = await conflicts.list()
        assert [each.conflict for each in kept] == [other, CONFLICT]
        assert [each.conflict for each in await conflicts.list(record=ADA)] == [CONFLICT]
        assert [each.conflict for each in await conflicts.list(before=kept[0].id)] == [CONFLICT]
        assert await conflicts.get(kept[1].id) == kept[1]
        assert await conflicts.drop([kept[1].id]) == 1
        with pytest.raises(NoSuchRecord):
            await conflicts.get(kept[1].id)


async def test_what_waits_and_what_has_no_object(catalogue: PostgresCatalogue) -> None:
    """Parked work, what is due first at the front; links without a remote object; the numbers of it all."""
    later = Parked("b", Direction.IN, "stripe", "customer", "cus_1", "name", "{}", due=100.0)
    sooner = replace(later, id="c", due=50.0)
    never = replace(later, id="a", due=None)
    async with catalogue.transaction() as tx:
        for each in (later, never, sooner):
            await tx.waiting.park(each)
        await tx.links.claim(ADA, "stripe")
        linked = replace(await tx.links.claim(GRACE, "stripe"), remote_id="cus_1", due=5.0)
        await tx.links.save(linked)
        gone = await tx.links.claim(RecordId("customer", '{"id":3}'), "stripe")
        await tx.links.save(replace(gone, remote_id="cus_2", deleted=True))
        await tx.journal.note(LETTER)
        await tx.journal.note(CONFLICT)
        await tx.journal.note(replace(CONFLICT, winner="review"))
    async with catalogue.transaction() as tx:
        assert await tx.people.parked() == [sooner, later, never]
        assert await tx.people.parked(limit=1) == [sooner]
        assert await tx.people.unlinked() == [(ADA, "stripe")]
        counts = await tx.people.counts()
    assert list(counts.pairs) == [PairCount("customer", "stripe", links=3, linked=1, deleted=1, in_flight=1)]
    assert (counts.dead_letters, counts.conflicts, counts.reviews, counts.parked) == (1, 2, 1, 3)


async def test_what_is_too_old_is_taken_out(prepared: str, sql: psycopg.Connection) -> None:
    """Each kind after its time, in small batches; what waits for a person or for its topic stays."""
    clock = [0.0]
    catalogue = PostgresCatalogue(prepared, [], now=lambda: clock[0])
    for day in range(40):
        clock[0] = day * DAY
        async with catalogue.transaction() as tx:
            for number in range(3):
                await tx.journal.see("stripe", f"evt_{day}_{number}")
            await tx.journal.record_attempt(replace(ATTEMPT, key=f"k{day}", at=clock[0]))
            await tx.journal.note(CONFLICT if day % 2 else replace(CONFLICT, winner="review"))
            await tx.journal.note(replace(LETTER, key=str(day)))
    sql.execute("UPDATE bothways.dead_letter SET published = true WHERE id % 2 = 0")
    sql.execute("INSERT INTO bothways.request SELECT d::text, '', '', '', d * 86400 FROM generate_series(0, 39) d")
    cleanup = Cleanup(catalogue.store, now=lambda: clock[0], batch=7)
    assert await cleanup.once() == 8 * 3 + 8 + 38
    assert counted(sql) == {"seen": 32 * 3, "attempt": 32, "request": 2, "conflict": 40, "dead_letter": 40}
    assert await cleanup.once() == 0
    shorter = rules(dead_letters=10 * DAY, conflicts=20 * DAY, requests=DAY)
    assert await Cleanup(catalogue.store, shorter, now=lambda: clock[0], batch=7).once() == 14 + 9
    clock[0] = 200 * DAY
    await cleanup.once()
    assert counted(sql) == {"seen": 0, "attempt": 0, "request": 0, "conflict": 20, "dead_letter": 20}
    await catalogue.close()


def counted(sql: psycopg.Connection) -> dict[str, int]:
    """How many rows the tables that are cleaned hold."""
    names = ["seen", "attempt", "request", "conflict", "dead_letter"]
    found = {name: sql.execute(f"SELECT count(*) FROM bothways.{name}".encode()).fetchone() for name in names}
    return {name: row[0] for name, row in found.items() if row is not None}
