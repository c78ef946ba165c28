"""Workers share the rate through the state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncConnection

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.state.pace import SharedPace
from bothways.state.store import Store

RATE = 100.0


async def calls(pace: SharedPace, until: float, times: list[float], concurrent: int) -> None:
    """Callers that call as soon as it is their turn, until the time of the loop."""
    loop = asyncio.get_running_loop()

    async def caller() -> None:
        while True:
            await pace.turn()
            if loop.time() >= until:
                return
            times.append(loop.time())

    await asyncio.gather(*(caller() for _ in range(concurrent)))


async def made(paces: Sequence[SharedPace], concurrent: int, seconds: float) -> list[float]:
    """When calls were made, in seconds from the start. (How much of the rate is used is measured in the bench.)"""
    loop = asyncio.get_running_loop()
    await paces[0].turn()
    start, times = loop.time(), list[float]()
    await asyncio.gather(*(calls(each, start + seconds, times, concurrent) for each in paces))
    return [each - start for each in times]


async def test_workers_share_the_rate(catalogue: PostgresCatalogue) -> None:
    """Two workers together make no more calls than the rate allows, evenly."""
    workers = [SharedPace(catalogue.store, "stripe", RATE, headroom=1.0) for _ in range(2)]
    times = await made(workers, 4, 2.0)
    assert 0 < len(times) <= RATE * 2.0 + 2
    for tenth in range(20):
        assert sum(tenth / 10 <= each < tenth / 10 + 0.1 for each in times) <= RATE / 10 + 8


async def test_one_caller_after_another_keeps_the_rate(catalogue: PostgresCatalogue) -> None:
    """A single caller that waits for each turn is held to the rate, too."""
    times = await made([SharedPace(catalogue.store, "stripe", RATE, headroom=1.0)], 1, 2.0)
    assert 0 < len(times) <= RATE * 2.0 + 2


class Counted:
    """A store that counts its transactions."""

    def __init__(self, store: Store) -> None:
        self.upserts, self.clock, self._store = store.upserts, store.clock, store
        self.count = 0

    def session(self) -> AbstractAsyncContextManager[AsyncConnection]:
        self.count += 1
        return self._store.session()


async def test_many_calls_need_few_transactions(catalogue: PostgresCatalogue) -> None:
    """Slots are reserved several at a time while calls follow each other closely."""
    store = Counted(catalogue.store)
    pace = SharedPace(store, "stripe", 400.0)
    for _ in range(100):
        await pace.turn()
    assert store.count <= 20


async def test_all_workers_slow_down_together(catalogue: PostgresCatalogue) -> None:
    """What one was told holds for the others: a pause first, then fewer calls."""
    told, other = (SharedPace(catalogue.store, "stripe", RATE) for _ in range(2))
    loop = asyncio.get_running_loop()
    await told.turn()
    before = loop.time()
    await told.slow_down(0.5)
    await other.turn()
    assert loop.time() - before >= 0.5
    times: list[float] = []
    await calls(other, loop.time() + 1.0, times, 4)
    assert RATE * 0.55 <= len(times) <= RATE * 0.75


async def test_systems_do_not_share(catalogue: PostgresCatalogue) -> None:
    """A pause of one system is none of another's."""
    stripe, salesforce = (SharedPace(catalogue.store, name, RATE) for name in ("stripe", "salesforce"))
    await stripe.slow_down(60.0)
    await asyncio.wait_for(salesforce.turn(), 5.0)
