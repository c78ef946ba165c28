"""Takes up what waits in the state: attempts that nobody finished, and what was parked and is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from bothways.flow.context import Context
from bothways.flow.halted import move_of
from bothways.flow.lanes import load_trigger
from bothways.flow.routes import Work, WorkKey
from bothways.model.errors import Busy
from bothways.model.outcome import Direction, Parked
from bothways.ports import EventFeed

BATCH = 100

_log = structlog.get_logger(__name__)

Put = Callable[[WorkKey, Work, Callable[[], None]], Awaitable[None]]


def _nothing() -> None:
    """What was swept is done when its state says so."""


class Sweeper:
    """Part of each delivery worker; several share the work by leases."""

    def __init__(self, context: Context, feeds: Mapping[str, EventFeed], put: Put, every_seconds: float) -> None:
        self.context, self.feeds, self.put, self.every_seconds = context, feeds, put, every_seconds

    async def run(self) -> None:
        """Sweep again and again."""
        while True:
            try:
                swept = await self.sweep()
            except Busy as error:
                _log.warning("sweep.busy", error=str(error))
                swept = 0
            if swept < BATCH:
                await asyncio.sleep(self.every_seconds)

    async def sweep(self) -> int:
        """Hand what is due to delivery; returns how much it was."""
        now, lease = self.context.clock.now(), self.context.patience.lease
        async with self.context.catalogue.transaction() as tx:
            overdue = await tx.overdue.take_overdue(now, BATCH, lease)
            due = await tx.waiting.take_due(now, BATCH, lease)
        for record, system in overdue:
            if (record.entity, system) in self.context.mappings:
                await self.put(WorkKey(Direction.OUT, system, record.entity, record.key), Work(), _nothing)
        for parked in due:
            await self._put_parked(parked)
        return len(overdue) + len(due)

    async def _put_parked(self, parked: Parked) -> None:
        if (parked.entity, parked.system) not in self.context.mappings:
            return  # it is no longer in the settings, and may come back
        key = WorkKey(parked.direction, parked.system, parked.entity, parked.key)
        if parked.direction is Direction.OUT:
            told = Work(change=move_of(parked), trigger=load_trigger(parked.payload), parked=parked.id)
            await self.put(key, told, _nothing)
            return
        event = self.feeds[parked.system].decode(parked.payload.encode())
        again = parked.id.startswith(f"{REPLAY}:")  # whatever it has waited for since
        await self.put(key, Work(event=event, payload=parked.payload, parked=parked.id, again=again), _nothing)


REPLAY = "replay"
"""How the ids of replayed work begin; its events are dealt with although they were seen. It waits on nothing else."""
