"""The rate that a system allows, shared by all workers through the state.

One row per system says when its next call may be made (a "generic cell rate algorithm"). A worker reserves the slots of
a twentieth of a second at a time, so that many workers share the rate with little traffic; slots that it does not use
are lost, so it reserves ahead only while its calls follow each other closely.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update

from bothways.state.store import Store
from bothways.state.tables import pace as table

HEADROOM = 0.99
"""Of the rate; the rest is for the jitter between here and the remote, which counts calls on its own clock."""
AHEAD = 0.05
"""Seconds of slots in one reservation; the next one is made when half of them are left, so that nobody waits for it."""
LATE = 0.2
"""A slot that nobody took for so many seconds is given up: otherwise a pause would be followed by a burst."""
SLOWER = 0.7
"""The rate is multiplied by this when the system asks for fewer calls …"""
SLOWER_EVERY = 1.0
"""… but once in so many seconds: calls that were under way are refused together, for one reason."""
FLOOR = 0.02
"""The lowest share of the rate."""
RECOVERY = 60.0
"""Seconds in which the rate comes back from nothing to all of it."""


@dataclass(frozen=True, slots=True)
class PaceRow:
    """What all workers share. Times on the database's clock, unix seconds."""

    next: float
    rate: float
    """Calls a second, as it was at ``changed``; it grows from there."""
    changed: float


def rate_now(row: PaceRow, now: float, full: float) -> float:
    """The rate at this time."""
    return min(full, row.rate + full * max(0.0, now - row.changed) / RECOVERY)


def reserve(row: PaceRow, now: float, count: int, full: float) -> tuple[PaceRow, list[float]]:
    """Take the next slots: the row after that, and their times."""
    start, gap = max(row.next, now), 1.0 / rate_now(row, now, full)
    return PaceRow(start + count * gap, row.rate, row.changed), [start + number * gap for number in range(count)]


def slowed(row: PaceRow, now: float, retry_after: float | None, full: float) -> PaceRow:
    """The row after the system asked for fewer calls, and for none at all during ``retry_after`` seconds."""
    resume = max(row.next, now + (retry_after or 0.0))
    if row.rate < full and now - row.changed < SLOWER_EVERY:
        return PaceRow(resume, row.rate, row.changed)
    return PaceRow(resume, max(full * FLOOR, rate_now(row, now, full) * SLOWER), now)


class SharedPace:
    """``ports.Pace`` for one system; ``rate`` is in calls a second, as the settings say. Lives on one event loop."""

    def __init__(self, store: Store, system: str, rate: float, *, headroom: float = HEADROOM) -> None:
        self._store, self._system, self._full = store, system, rate * headroom
        self._batch = max(1, math.floor(self._full * AHEAD))
        self._slots: deque[float] = deque()
        """Reserved and not used, in the event loop's time."""
        self._offsets: deque[float] = deque(maxlen=20)
        """The event loop's time less the database's, as seen lately; each too great by the way of an answer."""
        self._waiting = 0
        self._last = -math.inf
        """The slot that was used last."""
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        slot = await self._slot()
        delay = slot - asyncio.get_running_loop().time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def slow_down(self, retry_after: float | None) -> None:
        self._slots.clear()
        await self._change(lambda row, now: slowed(row, now, retry_after, self._full))

    async def _slot(self) -> float:
        self._waiting += 1
        try:
            async with self._lock:
                now = asyncio.get_running_loop().time()
                while self._slots and self._slots[0] < now - LATE:
                    self._slots.popleft()
                closely = self._waiting > 1 or now - self._last < AHEAD / 2
                if len(self._slots) <= (self._batch // 2 if closely else 0):
                    await self._reserve(self._batch if closely else 1)
                self._last = self._slots.popleft()
                return self._last
        finally:
            self._waiting -= 1

    async def _reserve(self, count: int) -> None:
        reserved: list[float] = []
        clock = 0.0

        def take(row: PaceRow, now: float) -> PaceRow:
            nonlocal clock
            clock = now
            after, reserved[:] = reserve(row, now, count, self._full)
            return after

        await self._change(take)
        # Every offset is too great, since the answer comes after the clock was read: the least is the best, and no
        # slot comes too early by it.
        self._offsets.append(asyncio.get_running_loop().time() - clock)
        offset = min(self._offsets)
        self._slots.extend(each + offset for each in reserved)

    async def _change(self, change: Callable[[PaceRow, float], PaceRow]) -> None:
        """Change the row under its lock; ``change`` gets it, and the database's clock."""
        async with self._store.session() as connection:
            query = _row_and(self._store.clock)
            found = (await connection.execute(query, {"p_system": self._system})).one_or_none()
            if found is None:
                first = {"system": self._system, "next": 0.0, "rate": self._full, "changed": 0.0}
                await connection.execute(self._store.upserts.insert_new(table), first)
                found = (await connection.execute(query, {"p_system": self._system})).one()
            after = change(PaceRow(found.next, min(found.rate, self._full), found.changed), found.now)
            await connection.execute(_STORE, {"p_system": self._system, **_parameters(after)})


def _row_and(clock: ColumnElement[float]) -> Any:
    columns = (table.c.next, table.c.rate, table.c.changed, clock.label("now"))
    return select(*columns).where(table.c.system == bindparam("p_system")).with_for_update()


def _parameters(row: PaceRow) -> Mapping[str, float]:
    return {"p_next": row.next, "p_rate": row.rate, "p_changed": row.changed}


_STORE = (
    update(table)
    .where(table.c.system == bindparam("p_system"))
    .values(next=bindparam("p_next"), rate=bindparam("p_rate"), changed=bindparam("p_changed"))
)
