"""What every catalogue must remember of the sync: links, attempts, seen events, what waits.

The adapter's test module inherits a class and gives a fixture ``catalogue`` as in ``tests/suites/catalogue.py``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bothways.model.link import Attempt, Base, Call, Held, Link, Window
from bothways.model.outcome import Conflict, DeadLetter, Direction, Parked
from bothways.model.record import Mark, RecordId
from bothways.ports import Catalogue, Transaction
from tests.suites.catalogue import Stop, ended, still_waits

ADA = RecordId("customer", '{"id":1}')
GRACE = RecordId("customer", '{"id":2}')

ATTEMPT = Attempt(
    key="k1",
    call=Call.CREATE,
    system="stripe",
    object="customer",
    remote_id=None,
    patch={"name": "Ada", "metadata.tier": None, "balance": 12},
    columns={"name": "Ada", "tier": None},
    saw={"name": "ada"},
    mark=Mark("i1", "t1", ADA.key),
    record=ADA,
    generation=2,
    at=1000.5,
)


def full(link: Link) -> Link:
    """The link with something in every field."""
    return replace(
        link,
        generation=2,
        remote_id="cus_1",
        deleted=True,
        row_gone=True,
        row_kept=True,
        base=Base(row={"name": "Ada ", "tags": ["a", {"b": None}]}, remote={"name": "Ada", "big": 2**80}),
        window=Window(1000, 1003),
        attempt=ATTEMPT,
        revision=7,
        remote_times={"name": 1002},
        ours={"name": ("k0", "k1"), "tier": ()},
        refused={"name": "x" * 6000},
        refused_inward={"email": "\0\ud800"},
        held={"tier": Held("gold", 1001, review=True)},
        due=1060.25,
    )


class LinkSuite:
    """Links are kept whole and locked."""

    async def test_a_link_is_made_once(self, catalogue: Catalogue) -> None:
        """With a random token; the same one comes back, and one of another system is another one."""
        async with catalogue.transaction() as tx:
            made = await tx.links.claim(ADA, "stripe")
            assert made == Link(ADA, "stripe", made.token)
        async with catalogue.transaction() as tx:
            assert await tx.links.claim(ADA, "stripe") == made
            assert await tx.links.lock(ADA, "stripe") == made
            assert await tx.links.lock(ADA, "salesforce") is None
            assert (await tx.links.claim(ADA, "salesforce")).token != made.token

    async def test_a_link_comes_back_as_it_was_saved(self, catalogue: Catalogue) -> None:
        """Every field of it, whatever values it holds."""
        async with catalogue.transaction() as tx:
            saved = full(await tx.links.claim(ADA, "stripe"))
            await tx.links.save(saved)
            assert await tx.links.lock(ADA, "stripe") == saved
        async with catalogue.transaction() as tx:
            assert await tx.links.claim(ADA, "stripe") == saved

    async def test_two_claims_of_a_new_link_give_one(self, catalogue: Catalogue) -> None:
        """The second waits for the first transaction's end, and finds what it saved."""

        async def claim() -> Link:
            async with catalogue.transaction() as tx:
                return await tx.links.claim(ADA, "stripe")

        async with catalogue.transaction() as tx:
            link = await tx.links.claim(ADA, "stripe")
            second = asyncio.create_task(claim())
            assert await still_waits(second)
            link = replace(link, remote_id="cus_1", revision=1)
            await tx.links.save(link)
        assert await ended(second) == link

    async def test_a_claim_whose_transaction_fails_leaves_no_link(self, catalogue: Catalogue) -> None:
        """Who waited for it makes a link of its own."""

        async def claim() -> Link:
            async with catalogue.transaction() as tx:
                return await tx.links.claim(ADA, "stripe")

        claimed: asyncio.Queue[Link] = asyncio.Queue()
        leave = asyncio.Event()

        async def fail() -> None:
            async with catalogue.transaction() as tx:
                claimed.put_nowait(await tx.links.claim(ADA, "stripe"))
                await leave.wait()
                raise Stop

        failing = asyncio.create_task(fail())
        first = await ended(claimed.get())
        second = asyncio.create_task(claim())
        assert await still_waits(second)
        leave.set()
        with pytest.raises(Stop):
            await ended(failing)
        assert (await ended(second)).token != first.token

    async def test_every_way_to_a_link_locks_it(self, catalogue: Catalogue) -> None:
        """By record, by remote id, by token: others wait."""
        async with catalogue.transaction() as tx:
            link = replace(await tx.links.claim(ADA, "stripe"), remote_id="cus_1")
            await tx.links.save(link)

        async def find(tx: Transaction, way: str) -> Link | None:
            if way == "claim":
                return await tx.links.claim(ADA, "stripe")
            if way == "lock":
                return await tx.links.lock(ADA, "stripe")
            if way == "by_remote":
                return await tx.index.by_remote("stripe", "customer", "cus_1")
            return await tx.index.by_token("stripe", link.token)

        async def hold(way: str, held: asyncio.Event, leave: asyncio.Event) -> None:
            async with catalogue.transaction() as tx:
                assert await find(tx, way) == link
                held.set()
                await leave.wait()

        ways = ["claim", "lock", "by_remote", "by_token"]
        for way, next_way in zip(ways, [*ways[1:], ways[0]], strict=True):
            held, leave = asyncio.Event(), asyncio.Event()
            first = asyncio.create_task(hold(way, held, leave))
            await ended(held.wait())
            second = asyncio.create_task(hold(next_way, asyncio.Event(), leave))
            assert await still_waits(second)
            leave.set()
            await ended(first)
            await ended(second)

    async def test_links_of_two_records_do_not_wait_for_each_other(self, catalogue: Catalogue) -> None:
        """The lock is the pair's alone."""
        async with catalogue.transaction() as tx:
            await tx.links.claim(ADA, "stripe")
            async with catalogue.transaction() as other:
                await ended(other.links.claim(GRACE, "stripe"))
                await ended(other.links.claim(ADA, "salesforce"))

    async def test_a_link_is_found_from_the_remote_side(self, catalogue: Catalogue) -> None:
        """By remote id within system and entity, and by token; the current one only."""
        async with catalogue.transaction() as tx:
            link = replace(await tx.links.claim(ADA, "stripe"), remote_id="cus_1")
            await tx.links.save(link)
            assert await tx.index.by_remote("stripe", "customer", "cus_1") == link
            assert await tx.index.by_remote("stripe", "product", "cus_1") is None
            assert await tx.index.by_remote("salesforce", "customer", "cus_1") is None
            assert await tx.index.by_token("stripe", link.token) == link
            assert await tx.index.by_token("salesforce", link.token) is None
            new = Link(ADA, "stripe", "another token", generation=1)
            await tx.links.save(new)
            assert await tx.index.by_remote("stripe", "customer", "cus_1") is None
            assert await tx.index.by_token("stripe", link.token) is None
            assert await tx.index.by_token("stripe", "another token") == new

    async def test_a_link_moves_to_another_key(self, catalogue: Catalogue) -> None:
        """Removed from the old, saved under the new, with its token and remote id."""
        async with catalogue.transaction() as tx:
            link = replace(await tx.links.claim(ADA, "stripe"), remote_id="cus_1")
            await tx.links.save(link)
        moved = replace(link, record=GRACE)
        async with catalogue.transaction() as tx:
            await tx.links.remove(link)
            await tx.links.save(moved)
        async with catalogue.transaction() as tx:
            assert await tx.links.lock(ADA, "stripe") is None
            assert await tx.links.lock(GRACE, "stripe") == moved
            assert await tx.index.by_remote("stripe", "customer", "cus_1") == moved

    async def test_references_are_looked_up_without_a_lock(self, catalogue: Catalogue) -> None:
        """Both ways; a tombstone stands for nothing on the remote side."""
        async with catalogue.transaction() as tx:
            link = replace(await tx.links.claim(ADA, "stripe"), remote_id="cus_1")
            await tx.links.save(link)
            await tx.links.claim(GRACE, "stripe")
        async with catalogue.transaction() as tx:
            await tx.links.lock(ADA, "stripe")
            async with catalogue.transaction() as other:
                assert await ended(other.references.remote_id(ADA, "stripe")) == "cus_1"
                assert await ended(other.references.record("stripe", "customer", "cus_1")) == ADA
                assert await other.references.remote_id(GRACE, "stripe") is None
                assert await other.references.remote_id(ADA, "salesforce") is None
                assert await other.references.record("stripe", "customer", "cus_2") is None
            await tx.links.save(replace(link, deleted=True))
        async with catalogue.transaction() as tx:
            assert await tx.references.remote_id(ADA, "stripe") is None

    async def test_an_object_is_retired_for_good(self, catalogue: Catalogue) -> None:
        """Also when that is said twice; only that object."""
        async with catalogue.transaction() as tx:
            await tx.index.retire("stripe", "customer", "cus_1")
            await tx.index.retire("stripe", "customer", "cus_1")
        async with catalogue.transaction() as tx:
            assert await tx.index.is_retired("stripe", "customer", "cus_1")
            assert not await tx.index.is_retired("stripe", "customer", "cus_2")
            assert not await tx.index.is_retired("stripe", "product", "cus_1")
            assert not await tx.index.is_retired("salesforce", "customer", "cus_1")

    async def test_no_decision_is_lost(self, catalogue: Catalogue) -> None:
        """Many workers on few links, each deciding from what it read: every decision builds on the one before."""
        records = [RecordId("customer", f'{{"id":{number}}}') for number in range(3)]

        async def decide(number: int) -> None:
            async with catalogue.transaction() as tx:
                link = await tx.links.claim(records[number % 3], "stripe")
                await tx.links.save(replace(link, revision=link.revision + 1))

        await asyncio.wait_for(asyncio.gather(*(decide(number) for number in range(60))), 60)
        async with catalogue.transaction() as tx:
            assert [(await tx.links.claim(record, "stripe")).revision for record in records] == [20, 20, 20]

    async def test_overdue_links_are_taken_by_one_worker_at_a_time(self, catalogue: Catalogue) -> None:
        """What is due comes once per lease; what another transaction holds is passed over."""
        async with catalogue.transaction() as tx:
            for number, due in enumerate([100.0, None, 50.0, 500.0, 60.0]):
                link = await tx.links.claim(RecordId("customer", f'{{"id":{number}}}'), "stripe")
                await tx.links.save(replace(link, due=due))
        due_now = {(RecordId("customer", f'{{"id":{number}}}'), "stripe") for number in (0, 2, 4)}
        async with catalogue.transaction() as tx:
            first = await tx.overdue.take_overdue(100.0, 1, 60.0)
            assert len(first) == 1
            async with catalogue.transaction() as other:
                rest = await ended(other.overdue.take_overdue(100.0, 9, 60.0))
            assert len(rest) == 2
            assert {*first, *rest} == due_now
        async with catalogue.transaction() as tx:
            assert await tx.overdue.take_overdue(159.0, 9, 60.0) == []
            assert {*await tx.overdue.take_overdue(160.0, 9, 60.0)} == due_now


class JournalSuite:
    """Attempts, seen events, and what is kept for people."""

    async def test_an_attempt_is_found_by_its_key(self, catalogue: Catalogue) -> None:
        """As it was recorded; recording it again changes nothing."""
        async with catalogue.transaction() as tx:
            await tx.journal.record_attempt(ATTEMPT)
            await tx.journal.record_attempt(ATTEMPT)
        async with catalogue.transaction() as tx:
            assert await tx.journal.attempt("k1") == ATTEMPT
            assert await tx.journal.attempt("k2") is None

    async def test_an_event_is_seen_once(self, catalogue: Catalogue) -> None:
        """Per system, over transactions; whoever only asks sees nothing by it."""
        async with catalogue.transaction() as tx:
            assert not await tx.journal.was_seen("stripe", "evt_1")
            assert await tx.journal.see("stripe", "evt_1")
            assert not await tx.journal.see("stripe", "evt_1")
        async with catalogue.transaction() as tx:
            assert await tx.journal.was_seen("stripe", "evt_1")
            assert not await tx.journal.was_seen("salesforce", "evt_1")
            assert not await tx.journal.see("stripe", "evt_1")
            assert await tx.journal.see("salesforce", "evt_1")

    @pytest.mark.parametrize("commits", [True, False])
    async def test_of_two_that_see_an_event_at_once_one_waits(self, catalogue: Catalogue, commits: bool) -> None:
        """It learns what became of the other: seen, or to be seen by itself."""

        async def see() -> bool:
            async with catalogue.transaction() as tx:
                return await tx.journal.see("stripe", "evt_1")

        async def first(entered: asyncio.Event, leave: asyncio.Event) -> None:
            async with catalogue.transaction() as tx:
                assert await tx.journal.see("stripe", "evt_1")
                entered.set()
                await leave.wait()
                if not commits:
                    raise Stop

        entered, leave = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(first(entered, leave))
        await ended(entered.wait())
        second = asyncio.create_task(see())
        assert await still_waits(second)
        leave.set()
        assert await ended(second) is not commits
        await asyncio.wait({holder})
        assert isinstance(holder.exception(), Stop) is not commits

    async def test_notes_are_taken(self, catalogue: Catalogue) -> None:
        """A conflict and a dead letter, with any text in them, harm nothing."""
        async with catalogue.transaction() as tx:
            await tx.journal.note(Conflict(ADA, "stripe", "name", "Ada", {"x": [1]}, "database", "event"))
            await tx.journal.note(DeadLetter(Direction.OUT, "stripe", "customer", "7", None, "no \0", "", "\ud800"))
            await tx.checkpoints.store("after", True)
        async with catalogue.transaction() as tx:
            assert await tx.checkpoints.load("after") is True


PARKED = Parked("p1", Direction.IN, "stripe", "invoice", "in_1", "link:stripe:customer:7", '{"id":"evt_1"}', 100.0)


class WaitingSuite:
    """What waits, and small named values."""

    async def test_what_is_parked_comes_when_it_is_due(self, catalogue: Catalogue) -> None:
        """Not before, as it was parked, and again after its lease unless it is done."""
        async with catalogue.transaction() as tx:
            await tx.waiting.park(PARKED)
            assert await tx.waiting.take_due(99.0, 10, 60.0) == []
            assert [replace(each, due=None) for each in await tx.waiting.take_due(100.0, 10, 60.0)] == [
                replace(PARKED, due=None)
            ]
        async with catalogue.transaction() as tx:
            assert await tx.waiting.take_due(159.0, 10, 60.0) == []
            assert [each.id for each in await tx.waiting.take_due(160.0, 10, 60.0)] == ["p1"]
            await tx.waiting.unpark("p1")
        async with catalogue.transaction() as tx:
            assert await tx.waiting.take_due(1e12, 10, 60.0) == []

    async def test_parking_again_replaces(self, catalogue: Catalogue) -> None:
        """One of the same id is there once, with the newer content."""
        newer = replace(PARKED, waits_on="attempt:stripe:cus_1", payload="newer", due=10.0)
        async with catalogue.transaction() as tx:
            await tx.waiting.park(PARKED)
            await tx.waiting.park(newer)
            taken = await tx.waiting.take_due(1000.0, 10, 60.0)
            assert [(each.id, each.waits_on, each.payload) for each in taken] == [
                ("p1", "attempt:stripe:cus_1", "newer")
            ]

    async def test_waking_makes_due(self, catalogue: Catalogue) -> None:
        """Everything that waits on the name, and nothing else; what has no time of its own too."""
        async with catalogue.transaction() as tx:
            await tx.waiting.park(replace(PARKED, id="a", due=None))
            await tx.waiting.park(replace(PARKED, id="b", due=500.0))
            await tx.waiting.park(replace(PARKED, id="c", due=None, waits_on="another name"))
            assert await tx.waiting.take_due(100.0, 10, 60.0) == []
            await tx.waiting.wake(PARKED.waits_on)
        async with catalogue.transaction() as tx:
            assert {each.id for each in await tx.waiting.take_due(100.0, 10, 60.0)} == {"a", "b"}

    async def test_two_workers_take_different_work(self, catalogue: Catalogue) -> None:
        """What another transaction holds is passed over, without waiting."""
        async with catalogue.transaction() as tx:
            for number in range(4):
                await tx.waiting.park(replace(PARKED, id=f"p{number}", due=float(number)))
        async with catalogue.transaction() as tx:
            assert [each.id for each in await tx.waiting.take_due(100.0, 2, 60.0)] == ["p0", "p1"]
            async with catalogue.transaction() as other:
                taken = await ended(other.waiting.take_due(100.0, 10, 60.0))
                assert [each.id for each in taken] == ["p2", "p3"]

    async def test_checkpoints_hold_any_value(self, catalogue: Catalogue) -> None:
        """The last one stored under the name; nothing is None."""
        async with catalogue.transaction() as tx:
            assert await tx.checkpoints.load("cursor") is None
            await tx.checkpoints.store("cursor", "evt_1")
            await tx.checkpoints.store("cursor", {"created": 1000, "ids": ["evt_1", "evt_2"]})
        async with catalogue.transaction() as tx:
            assert await tx.checkpoints.load("cursor") == {"created": 1000, "ids": ["evt_1", "evt_2"]}

    async def test_a_value_that_is_held_is_changed_by_one_at_a_time(self, catalogue: Catalogue) -> None:
        """Whether it was there or not: nobody counts from what another is about to change."""

        async def count() -> None:
            async with catalogue.transaction() as tx:
                number = await tx.checkpoints.hold("count")
                await asyncio.sleep(0)
                await tx.checkpoints.store("count", (number if isinstance(number, int) else 0) + 1)

        await asyncio.gather(*(count() for _ in range(5)))
        async with catalogue.transaction() as tx:
            assert await tx.checkpoints.load("count") == 5

    async def test_a_value_that_is_held_by_readers_stays_as_it_is(self, catalogue: Catalogue) -> None:
        """Who changes it waits for them, and sees in the next statement what they have written."""
        async with catalogue.transaction() as tx:
            await tx.checkpoints.store("lane", "closed")

        async def change() -> int:
            async with catalogue.transaction() as tx:
                await tx.checkpoints.hold("lane")
                await tx.waiting.wake("lane")
                return len(await tx.waiting.take_due(0.0, 10, 60.0))

        async with catalogue.transaction() as tx:
            assert await tx.checkpoints.hold("lane", shared=True) == "closed"
            changing = asyncio.create_task(change())
            assert await still_waits(changing)
            await tx.waiting.park(replace(PARKED, due=None, waits_on="lane"))
        assert await ended(changing) == 1
