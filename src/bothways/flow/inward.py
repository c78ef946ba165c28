"""Remote → catalogue: one event of one object, from the log to the row.

All that an event changes is written in one transaction: the row, the base, the seen event, conflicts, the marker.
"""

from __future__ import annotations

import asyncio

from bothways.flow.apply import Source, apply, attempt_over, plain
from bothways.flow.brake import Brake
from bothways.flow.bringin import BringIn
from bothways.flow.context import Context
from bothways.flow.references import References, UnknownReference
from bothways.flow.steady import Later, Steady
from bothways.model.link import Attempt, Link, Window
from bothways.model.outcome import Direction, Parked
from bothways.model.record import Row
from bothways.model.remote import Answer, RemoteEvent
from bothways.ports import Transaction
from bothways.sync.inward import Verdict, bring_back, judge, read_receipt
from bothways.sync.mapping import Deletes, EntityMapping
from bothways.sync.merge import observe
from bothways.sync.outward import Taken, taken_away


class _Undo(Exception):
    """Leave the transaction without a trace, and go on as ``verdict`` says."""

    def __init__(self, verdict: Verdict, link: Link) -> None:
        super().__init__(verdict.name)
        self.verdict, self.link = verdict, link


class _Unlinked(Exception):
    """No record is linked to this object."""


def _replayed(mapping: EntityMapping, link: Link, event: RemoteEvent) -> Verdict:
    """What an event means that somebody replays, and that is old by now."""
    if link.remote_id != event.snapshot.id:
        return Verdict.DROP
    if not link.deleted:
        return Verdict.FETCH  # it asks for the object as it is now
    refused = link.row_kept and mapping.deletes_in is Deletes.PROPAGATE
    return Verdict.GONE if refused else Verdict.DROP  # the row could not be deleted then


class Inward:
    """Brings the rows up to one system."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system
        self.steady = Steady(context, system)
        self.bringin = BringIn(context, system)
        self.brake = Brake(context, system)

    async def receive(self, event: RemoteEvent, payload: str, *, again: bool = False) -> bool:
        """Deal with an event, once however often it comes. ``again``: it is dealt with though it was seen (a replay).

        A call of ours under way for the record is waited for, first here, then in the state: False where it is parked.
        Raises ``HeldBack`` for a deletion that has to wait until somebody allows it.
        """
        entity = self.context.entity(self.system, event.object)
        if entity is None:
            return True
        mapping = self.context.mappings[entity, self.system]
        source = Source(event.id, payload)
        waited, pause = 0.0, 0.02
        while waited < self.context.patience.attempt_ends:
            try:
                if await self._try(mapping, event, source, again=again):
                    return True
            except Later:
                break
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, 0.5)
        await self.steady.retried(self._park, mapping, event, payload)
        return False

    async def _try(self, mapping: EntityMapping, event: RemoteEvent, source: Source, *, again: bool) -> bool:
        """One go at the event; False where it is to be judged anew."""
        try:
            return await self._judge(mapping, event, source, again)
        except UnknownReference as unknown:
            await self.bringin.bring_in_referenced(unknown.entity, unknown.remote_id)
            return False

    async def _judge(self, mapping: EntityMapping, event: RemoteEvent, source: Source, again: bool) -> bool:
        try:
            await self.steady.retried(self._once, mapping, event, source, again)
        except _Unlinked:
            return await self.bringin.bring_in(mapping, event, source, again=again)
        except _Undo as undo:
            if undo.verdict is not Verdict.FETCH:
                return False
            link = undo.link
        else:
            return True
        fetch = self.context.remotes[self.system].fetch
        answer = await self.steady.called(fetch, mapping.object, event.snapshot.id)
        try:
            return await self.steady.retried(self._merge_picture, mapping, event, source, link, answer, again)
        except _Undo:
            return False

    async def _once(self, mapping: EntityMapping, event: RemoteEvent, source: Source, again: bool) -> None:
        async with self.context.catalogue.transaction() as tx:
            link = await self._link(tx, mapping, event)
            if not await tx.journal.see(self.system, event.id) and not again:
                return
            if link is None:
                raise _Unlinked
            own = await tx.journal.attempt(event.key) if event.key else None
            verdict = judge(link, event, own)
            if again and verdict is Verdict.DROP:
                verdict = _replayed(mapping, link, event)
            if verdict in (Verdict.WAIT, Verdict.FETCH):
                raise _Undo(verdict, link)
            if verdict is not Verdict.DROP:
                await self._act(tx, mapping, link, event, own, source, verdict)

    async def _link(self, tx: Transaction, mapping: EntityMapping, event: RemoteEvent) -> Link | None:
        shown = event.snapshot
        link = await tx.index.by_remote(self.system, mapping.entity, shown.id)
        if link is None and shown.mark is not None and shown.mark.installation == self.context.installation:
            link = await tx.index.by_token(self.system, shown.mark.token)
            if link is not None and link.remote_id is None and link.attempt is None:
                return None
        return link

    async def _act(
        self,
        tx: Transaction,
        mapping: EntityMapping,
        link: Link,
        event: RemoteEvent,
        own: Attempt | None,
        source: Source,
        verdict: Verdict,
    ) -> None:
        row = await self._row(tx, mapping, link)
        if verdict is Verdict.GONE:
            taken = await self._taken_away(tx, mapping, link, row, event)
            await apply(tx, mapping, link, taken, row, source)
        elif verdict is Verdict.RECEIPT and own is not None:
            merge = bring_back(mapping, read_receipt(mapping, link, row, event, own))
            await apply(tx, mapping, link, plain(merge), row, source)
        else:
            window = Window(event.created, event.created)
            seen = mapping.read(event.snapshot.document)
            merge = observe(mapping, link, row, seen, window, found_in="event")
            await apply(tx, mapping, link, plain(merge), row, source)

    async def _taken_away(
        self, tx: Transaction, mapping: EntityMapping, link: Link, row: Row | None, event: RemoteEvent
    ) -> Taken:
        taken = taken_away(mapping, link, row)
        if taken.delete_row:
            await self.brake.count(tx, Direction.IN, event.created)
        return taken

    async def _row(self, tx: Transaction, mapping: EntityMapping, link: Link) -> Row | None:
        """The row, locked. One that is absent though its deletion was not on the log yet may be changing its key."""
        row = await tx.rows.read(link.record, lock=True)
        if row is None and not link.row_gone:
            raise _Undo(Verdict.WAIT, link)
        return await References(tx, mapping).row_in(row) if row is not None else None

    async def _merge_picture(
        self, mapping: EntityMapping, event: RemoteEvent, source: Source, before: Link, answer: Answer, again: bool
    ) -> bool:
        """Merge a picture that was just taken; False where the link moved on meanwhile."""
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(before.record, self.system)
            if link is None or link.revision != before.revision or link.token != before.token or link.attempt:
                return False
            if not await tx.journal.see(self.system, event.id) and not again:
                return True
            row = await self._row(tx, mapping, link)
            if answer.object.gone:
                taken = await self._taken_away(tx, mapping, link, row, event)
            else:
                seen = mapping.read(answer.object.document)
                taken = plain(observe(mapping, link, row, seen, answer.window, found_in="event"))
            await apply(tx, mapping, link, taken, row, source)
            return True

    async def _park(self, mapping: EntityMapping, event: RemoteEvent, payload: str) -> None:
        async with self.context.catalogue.transaction() as tx:
            await tx.waiting.park(
                Parked(
                    id=f"in:{self.system}:{event.id}",
                    direction=Direction.IN,
                    system=self.system,
                    entity=mapping.entity,
                    key=event.snapshot.id,
                    waits_on=attempt_over(self.system, event.snapshot.id),
                    payload=payload,
                    due=self.context.clock.now() + self.context.patience.other_worker,
                )
            )
