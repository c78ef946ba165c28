"""What the state need not remember for ever is taken out, a little at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Table, and_, delete, select, true

from bothways.model.errors import Busy
from bothways.state.store import Store
from bothways.state.tables import attempt, conflict, dead_letter, request, seen

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """How long the rows of a table are kept. ``only``: of those that this says."""

    table: Table
    seconds: float
    only: ColumnElement[bool]

    @property
    def at(self) -> Column[float]:
        """The column that says how old a row is."""
        return self.table.c.at


def rules(*, dead_letters: float = 90 * DAY, conflicts: float = 90 * DAY, requests: float = DAY) -> Sequence[Kept]:
    """What is kept how long, in seconds. What was seen and sent is kept as long as it can come back."""
    return (
        # Stripe lists its events for 30 days; one day on top, for clocks and for a poller that was away.
        Kept(seen, 31 * DAY, true()),
        Kept(attempt, 31 * DAY, true()),
        Kept(request, requests, true()),
        Kept(dead_letter, dead_letters, dead_letter.c.published),
        Kept(conflict, conflicts, conflict.c.winner != "review"),
    )


class Cleanup:
    """A role. ``now`` gives unix seconds; ``batch`` is how many rows go in one transaction."""

    name = "cleanup"

    def __init__(
        self,
        store: Store,
        kept: Sequence[Kept] | None = None,
        *,
        now: Callable[[], float] = time.time,
        every: float = 600.0,
        batch: int = 1000,
    ) -> None:
        self._store, self._rules, self._now, self._every, self._batch = store, kept or rules(), now, every, batch

    def ready(self) -> str | None:
        """Nothing depends on it."""
        return None

    async def run(self) -> None:
        """Clean up now and then, until cancelled."""
        while True:
            try:
                await self.once()
            except Busy:
                await asyncio.sleep(min(5.0, self._every))  # nobody waits for it: next time
            await asyncio.sleep(self._every)

    async def once(self) -> int:
        """Take out all that is too old; returns how many rows that were."""
        removed = 0
        for rule in self._rules:
            while taken := await self._remove(rule):
                removed += taken
        return removed

    async def _remove(self, rule: Kept) -> int:
        """The oldest of what is too old, about ``batch`` rows: rows of one age go together."""
        horizon = self._now() - rule.seconds
        old = and_(rule.at < horizon, rule.only)
        last = select(rule.at).where(old).order_by(rule.at).offset(self._batch - 1).limit(1)
        async with self._store.session() as connection:
            bound = (await connection.execute(last)).scalar_one_or_none()
            until = old if bound is None else and_(rule.at <= bound, old)
            return (await connection.execute(delete(rule.table).where(until))).rowcount
