"""Work that waits for a paused lane."""

from __future__ import annotations

import asyncio

import pytest

from bothways.flow import pausing
from bothways.flow.lanes import Lanes
from bothways.flow.pausing import close, closures, reopen
from bothways.flow.routes import Work, WorkKey
from bothways.model.change import Change, Operation, Position
from bothways.model.outcome import Direction
from bothways.model.pause import By, Closure, Lane
from bothways.ports import Transaction
from bothways.sync.mapping import EntityMapping, FieldMap
from tests.simulation.catalogue import MemoryCatalogue, Table
from tests.unit.flow.parts import SYSTEM, Parts

LANE: Lane = (SYSTEM, Direction.OUT)
MAPPING = EntityMapping("customer", SYSTEM, "customer", (FieldMap("name", "name"),))


def work(number: int) -> tuple[WorkKey, list[Work]]:
    """A deletion of some record."""
    key = f'{{"id":{number}}}'
    change = Change("customer", key, Operation.DELETE, None, None, None, None, Position("s", (number, 0)), 5000)
    return WorkKey(Direction.OUT, SYSTEM, "customer", key), [Work(change=change)]


async def paused(here: Parts) -> Lanes:
    """A lane that somebody has paused."""
    async with here.catalogue.transaction() as tx:
        await close(tx, LANE, Closure(By.OPERATOR, 1.0, "by hand"))
    return Lanes(here.context, 1.0)


async def never() -> None:
    """What must not be done."""
    raise AssertionError("it is paused")


async def test_what_is_parked_at_a_time_is_parked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mass of it costs few transactions; each record waits by itself, and it is known that it was deleted."""
    here = Parts(MAPPING, Table(("id", "name")))
    lanes = await paused(here)
    opened, transaction = 0, MemoryCatalogue.transaction

    def counted(catalogue: MemoryCatalogue):  # type: ignore[no-untyped-def]  # whatever it is there
        nonlocal opened
        opened += 1
        return transaction(catalogue)

    monkeypatch.setattr(MemoryCatalogue, "transaction", counted)
    await asyncio.gather(*(lanes.unless_paused(*work(number), never) for number in range(50)))
    parked = here.database.select("parked").values()
    assert {each.key for each in parked} == {f'{{"id":{number}}}' for number in range(50)}
    assert all('"deleted": true, "at": 5.0' in each.payload for each in parked)
    assert opened < 20


async def test_one_that_is_cancelled_takes_no_other_along() -> None:
    """The others are parked all the same."""
    here = Parts(MAPPING, Table(("id", "name")))
    lanes = await paused(here)
    tasks = [asyncio.create_task(lanes.unless_paused(*work(number), never)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for number, each in enumerate(done) if each is None] == [1, 2, 4]
    keys = {each.key for each in here.database.select("parked").values()}
    assert keys >= {f'{{"id":{number}}}' for number in (1, 2, 4)}


async def test_work_that_finds_its_lane_open_by_now_is_done() -> None:
    """Though this process still took it for paused: nobody would wake what is parked now."""
    here = Parts(MAPPING, Table(("id", "name")))
    lanes = await paused(here)
    await lanes.look()
    async with here.catalogue.transaction() as tx:
        await reopen(tx, LANE, {By.OPERATOR})
    done: list[int] = []

    async def do() -> None:
        done.append(1)

    await lanes.unless_paused(*work(1), do)
    assert done == [1]
    assert here.database.select("parked") == {}
    assert here.context.closed == {}


@pytest.mark.parametrize("way", Direction)
async def test_one_direction_alone_that_the_key_closed_is_opened_again(way: Direction) -> None:
    """Whoever closed or opened both died in between, or did it while another did the opposite."""
    here = Parts(MAPPING, Table(("id", "name")))
    async with here.catalogue.transaction() as tx:
        await close(tx, (SYSTEM, way), Closure(By.KEY, 1.0, "it is refused"))
    lanes = Lanes(here.context, 0.01)
    await lanes.look()
    assert lanes.refused(SYSTEM) == "it is refused"
    looking = asyncio.create_task(lanes.run())
    try:
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if not here.context.closed:
                break
    finally:
        looking.cancel()
    async with here.catalogue.transaction() as tx:
        assert await closures(tx.checkpoints, (SYSTEM, way)) == ()


async def test_both_directions_are_paused_for_a_key_or_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between the two leaves no half: whoever asks for the key opens both."""
    here = Parts(MAPPING, Table(("id", "name")))
    done = 0

    async def dies_at_the_second(tx: Transaction, lane: Lane, closure: Closure) -> tuple[Closure, ...]:
        nonlocal done
        done += 1
        if done == 2:
            raise asyncio.CancelledError
        return await close(tx, lane, closure)

    monkeypatch.setattr(pausing, "close", dies_at_the_second)
    with pytest.raises(asyncio.CancelledError):
        await pausing.refuse(here.context, SYSTEM, "revoked")
    async with here.catalogue.transaction() as tx:
        assert [await closures(tx.checkpoints, (SYSTEM, way)) for way in Direction] == [(), ()]
