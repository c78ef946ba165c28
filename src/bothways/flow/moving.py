"""Changed primary keys: the link goes with the row.

A changed key is two messages, a deletion under the old key and a creation under the new one. They lie in different
partitions, so that either may be read first, and so may those of a second change of the same record's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from bothways.flow.context import Context
from bothways.flow.steady import Steady
from bothways.model.change import Change
from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.ports import Transaction
from bothways.sync.linking import take_up

Place = Callable[[], AbstractAsyncContextManager[None]]
"""A place among the records of a system that are worked on at a time."""


class _NotYet(Exception):
    """A link may still be on its way to the old key."""


class Moving:
    """One system's links."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system
        self.steady = Steady(context, system)

    async def leave(self, change: Change, old: str, new: str) -> None:
        """The deletion half, after all else that happened under the old key. Harmless when repeated."""
        await self.steady.retried(self._move, change, old, new, waits=False)

    async def arrive(self, change: Change, old: str, new: str, place: Place) -> None:
        """The creation half.

        Where neither key has a link, an earlier move may still have to bring it to the old key; to go on would be to
        create the record a second time. The deletion half tells: it is waited for, but not for ever, since it cannot
        be far, and without a ``place``, since it may need one.
        """
        waited, pause = 0.0, 0.02
        while waited < self.context.patience.other_worker:
            try:
                async with place():
                    await self.steady.retried(self._move, change, old, new, waits=True)
            except _NotYet:
                await asyncio.sleep(pause)
                waited, pause = waited + pause, min(pause * 2, 0.5)
            else:
                return

    async def _move(self, change: Change, old: str, new: str, *, waits: bool) -> None:
        """Repeated, it leaves the link of another record alone that has the old key by now."""
        before, after = RecordId(change.entity, old), RecordId(change.entity, new)
        first, second = sorted((before, after))
        async with self.context.catalogue.transaction() as tx:
            held = {record: await tx.links.lock(record, self.system) for record in (first, second)}
            is_first = await tx.journal.see(self.system, _name(change, old, new))
            if waits and is_first and held[before] is None and held[after] is None:
                raise _NotYet
            link = held[before]
            if link is not None and (is_first or await tx.rows.read(before) is None):
                await self._take_along(tx, link, held[after], after)

    async def _take_along(self, tx: Transaction, link: Link, there: Link | None, new: RecordId) -> None:
        if there is not None:
            if there.remote_id is not None or there.attempt is not None:
                return
            await tx.links.remove(there)
        await tx.links.remove(link)
        attempt = replace(link.attempt, record=new) if link.attempt is not None else None
        moved = replace(take_up(link), record=new, attempt=attempt, row_gone=False, revision=link.revision + 1)
        await tx.links.save(moved)


def _name(change: Change, old: str, new: str) -> str:
    """The move's, in the order of what was seen: both halves are of one transaction."""
    return f"move:{change.position.source}:{change.position.order[0]}:{old}>{new}"
