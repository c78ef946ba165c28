"""Catalogue → remote: one record at one system, from the row as it is to a remote that shows it.

Each round: a short transaction decides and writes the attempt down; the call is made with nothing locked; a second
transaction takes the answer in, if the link still holds this very attempt. Then the record is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bothways.flow.apply import Applied, Source, apply, link_made, outward_letter, plain
from bothways.flow.brake import Brake
from bothways.flow.calling import Caller, Outcome
from bothways.flow.context import Context, RemoteSystem
from bothways.flow.finding import Found, find_remote
from bothways.flow.references import References, UnknownReference
from bothways.flow.steady import Later, Steady
from bothways.model.errors import CallRefused, Forbidden, Transient
from bothways.model.link import Attempt, Call, Link
from bothways.model.outcome import Direction, Parked
from bothways.model.record import Mark, RecordId, Row
from bothways.model.remote import Answer
from bothways.ports import Transaction
from bothways.sync.held import Trigger
from bothways.sync.linking import leave_alone
from bothways.sync.mapping import EntityMapping
from bothways.sync.merge import BadValue, observe
from bothways.sync.outward import (
    Find,
    Look,
    Make,
    Nothing,
    Settle,
    TakeBack,
    Taken,
    begin_again,
    call_refused,
    decide,
    is_settled,
    make_create,
    take_answer,
    take_note,
)


@dataclass(frozen=True, slots=True)
class Carry:
    """An attempt to carry out. ``fresh``: written down by us a moment ago, so that no call was made under its key."""

    attempt: Attempt
    fresh: bool


@dataclass(frozen=True, slots=True)
class Search:
    """Look for the record's counterpart, with nothing locked."""

    link: Link
    row: Row


@dataclass(frozen=True, slots=True)
class Refresh:
    """Take a new picture of the remote before writing over it."""

    link: Link


@dataclass(frozen=True, slots=True)
class Again:
    """Something moved: decide anew."""


@dataclass(frozen=True, slots=True)
class Waits:
    """For a record that it points to."""


AGAIN = Again()
WAITS = Waits()
Step = Carry | Search | Refresh | Again | Waits | None
"""What a transaction found to be next; None: the record needs nothing more."""


class Outward:
    """Brings one system up to the rows."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system
        self.remote: RemoteSystem = context.remotes[system]
        self.steady = Steady(context, system)
        self.caller = Caller(context, system)
        self.brake = Brake(context, system)

    async def deliver(self, record: RecordId, trigger: Trigger) -> bool:
        """Work until the remote shows the row, or what is missing waits in the state; False where it waits as parked.

        Whatever ends it early loses nothing: the record can be delivered again from the start. Raises ``HeldBack``.
        """
        mapping = self.context.mappings[record.entity, self.system]
        step: Step = AGAIN
        while step is not None:
            try:
                step = await self._advance(mapping, record, trigger, step)
            except Later:
                await self.steady.retried(self._take_up_later, record)
                return True
            if isinstance(step, Waits):
                return False
        return True

    async def _advance(self, mapping: EntityMapping, record: RecordId, trigger: Trigger, step: Step) -> Step:
        if isinstance(step, Carry):
            return await self._carry_out(mapping, step)
        if isinstance(step, Search):
            try:
                found = await self.steady.called(find_remote, self.context, mapping, step.row)
            except CallRefused as error:
                await self.steady.retried(self._take_search_refusal, mapping, step, error)
                return None
            return await self.steady.retried(self._adopt_or_create, mapping, step, found)
        if isinstance(step, Refresh):
            await self._refresh(mapping, step.link)
            return AGAIN
        return await self.steady.retried(self._decide, mapping, record, trigger)

    async def _take_up_later(self, record: RecordId) -> None:
        """Where no attempt says so, the link must: a record that is only looked for has left nothing else behind."""
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(record, self.system)
            if link is not None and link.due is None:
                await tx.links.save(replace(link, due=self.context.clock.now() + self.context.patience.lease))

    # ----------------------------------------------------------------------------------------------- first transaction

    async def _decide(self, mapping: EntityMapping, record: RecordId, trigger: Trigger) -> Step:
        async with self.context.catalogue.transaction() as tx:
            claimed = await tx.links.claim(record, self.system)
            row = await tx.rows.read(record)
            link = begin_again(claimed, row, self.context.new_id()) or claimed
            if link is not claimed and claimed.remote_id is not None:
                await tx.index.retire(self.system, record.entity, claimed.remote_id)
            link = take_note(link, row, trigger)
            references = References(tx, mapping)
            if row is not None:
                row = await references.row_in(row)
                waits_for = references.unlinked(row) if link.attempt is None and not link.deleted else None
                if waits_for is not None:
                    await self._save(tx, claimed, link)
                    await self._park(tx, link, waits_for)
                    return WAITS
            decision = decide(mapping, link, row, trigger)
            if isinstance(decision, Nothing):
                return await self._nothing(tx, claimed, decision, row)
            if isinstance(decision, Settle):
                await self._save(tx, claimed, link)
                return Carry(decision.attempt, fresh=False)
            if isinstance(decision, TakeBack):
                locked = await tx.rows.read(record, lock=True)
                now = await references.row_in(locked) if locked else None
                if now == row:
                    await apply(tx, mapping, link, plain(decision.merge), now, Source("latest"))
                return AGAIN
            if isinstance(decision, Find | Look):
                await self._save(tx, claimed, decision.link)
                if isinstance(decision, Find) and row is not None:
                    return Search(decision.link, row)
                return Refresh(decision.link)
            return await self._write_down(tx, mapping, decision, trigger.deleted_at)

    async def _nothing(self, tx: Transaction, claimed: Link, decision: Nothing, row: Row | None) -> Step:
        link = decision.link
        blank = link.remote_id is None and not link.refused and link.generation == 0 and link.attempt is None
        if row is None and blank and not link.held:
            await tx.links.remove(link)
            return None
        await self._note_bad(tx, link, decision.bad)
        await self._save(tx, claimed, replace(link, due=None))
        return None

    async def _write_down(
        self, tx: Transaction, mapping: EntityMapping, made: Make, deleted_at: float | None = None
    ) -> Carry:
        """The attempt, before its call; a deletion only if it is not one too many."""
        if made.call is Call.DELETE:
            await self.brake.count(tx, Direction.OUT, deleted_at)
        now, link = self.context.clock.now(), made.link
        mark = Mark(self.context.installation, link.token, link.record.key) if made.call is Call.CREATE else None
        attempt = Attempt(
            key=self.context.new_id(),
            call=made.call,
            system=self.system,
            object=mapping.object,
            remote_id=link.remote_id,
            patch=made.patch,
            columns=made.columns,
            saw=made.saw,
            mark=mark,
            record=link.record,
            generation=link.generation,
            at=now,
        )
        await self._note_bad(tx, link, made.bad)
        due = now + self.context.patience.lease
        await tx.links.save(replace(link, attempt=attempt, due=due, revision=link.revision + 1))
        await tx.journal.record_attempt(attempt)
        return Carry(attempt, fresh=True)

    async def _save(self, tx: Transaction, before: Link, link: Link) -> None:
        if link != before:
            await tx.links.save(link)

    async def _note_bad(self, tx: Transaction, link: Link, bad: Sequence[BadValue]) -> None:
        for each in bad:
            hint = "change the value in the row, or map the column with a transform that takes it"
            await tx.journal.note(outward_letter(link, each.column, each.reason, hint, {each.column: each.value}))

    async def _park(self, tx: Transaction, link: Link, waits_for: RecordId) -> None:
        name = link_made(self.system, waits_for.entity, waits_for.key)
        parked = Parked(
            id=f"out:{self.system}:{link.record.entity}:{link.record.key}",
            direction=Direction.OUT,
            system=self.system,
            entity=link.record.entity,
            key=link.record.key,
            waits_on=name,
            due=self.context.clock.now() + self.context.patience.lease,
        )
        await tx.waiting.park(parked)

    # -------------------------------------------------------------------------------------------------------- the call

    async def _carry_out(self, mapping: EntityMapping, carry: Carry) -> Step:
        """Make the call, or settle what became of it, and take the answer in."""
        attempt, fresh = carry.attempt, carry.fresh
        if not fresh and not await self._is_ours_now(attempt):
            return AGAIN
        until = self.context.clock.now() + self.context.patience.retries
        backoff = self.steady.backoff()
        while True:
            try:
                outcome = await self.caller.outcome(attempt, fresh=fresh)
            except CallRefused as error:
                await self.steady.retried(self._take_refusal, mapping, attempt, error)
                return AGAIN
            except Transient as error:
                if self.context.clock.now() > until:
                    raise Later from error
                fresh = False
                await asyncio.sleep(backoff.after(error))
            except Forbidden as error:
                await self.steady.refused(error)
            else:
                break
        self.context.paused.pop(self.system, None)
        if outcome is None:
            await self.steady.retried(self._forget, attempt)
            return AGAIN
        return await self.steady.retried(self._take, mapping, attempt, outcome)

    async def _is_ours_now(self, attempt: Attempt) -> bool:
        """Another worker's young attempt is left to it for a while, so that one call is not made twice at a time."""
        while 0 <= self.context.clock.now() - attempt.at < self.context.patience.other_worker:
            await asyncio.sleep(self.context.patience.other_worker / 10)
            if not await self.steady.retried(self._still_holds, attempt):
                return False
        return True

    async def _still_holds(self, attempt: Attempt) -> bool:
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(attempt.record, self.system)
            return link is not None and link.attempt is not None and link.attempt.key == attempt.key

    # ---------------------------------------------------------------------------------------------- second transaction

    async def _take(self, mapping: EntityMapping, attempt: Attempt, outcome: Outcome) -> Step:
        """The record needs no second look where link and row, both locked, have nothing left to send."""
        async with self.context.catalogue.transaction() as tx:
            link = await self._held(tx, attempt)
            if link is None:
                return AGAIN
            row = await tx.rows.read(link.record, lock=True)
            if row is not None:
                row = await References(tx, mapping).row_in(row)
            taken = take_answer(mapping, link, row, outcome.effect, outcome.current, stale=outcome.stale)
            if taken.delete_row:
                await self.brake.count_row(tx, attempt.at)
            applied = await self._apply(tx, mapping, link, taken, row, attempt.key)
            return None if is_settled(mapping, applied.link, applied.row) else AGAIN

    async def _apply(
        self, tx: Transaction, mapping: EntityMapping, link: Link, taken: Taken, row: Row | None, cause: str
    ) -> Applied:
        try:
            return await apply(tx, mapping, link, taken, row, Source(cause))
        except UnknownReference:
            raise Later from None

    async def _held(self, tx: Transaction, attempt: Attempt) -> Link | None:
        """The attempt's link, if it still holds it: a worker that was thought dead may come late."""
        link = await tx.links.lock(attempt.record, self.system)
        return link if link is not None and link.attempt is not None and link.attempt.key == attempt.key else None

    async def _forget(self, attempt: Attempt) -> None:
        """It took no effect: decide anew, under a new key."""
        async with self.context.catalogue.transaction() as tx:
            link = await self._held(tx, attempt)
            if link is not None:
                await tx.links.save(replace(link, attempt=None, due=None, revision=link.revision + 1))

    async def _take_refusal(self, mapping: EntityMapping, attempt: Attempt, error: CallRefused) -> None:
        async with self.context.catalogue.transaction() as tx:
            link = await self._held(tx, attempt)
            if link is None:
                return
            after = call_refused(mapping, link, error.field)
            await tx.journal.note(outward_letter(link, error.field, error.message, error.hint, attempt.patch))
            await tx.links.save(after)

    # --------------------------------------------------------------------------------------------------------- linking

    async def _adopt_or_create(self, mapping: EntityMapping, search: Search, found: Found) -> Step:
        """Adopt the counterpart that was found, or write down the create."""
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(search.link.record, self.system)
            if link is None or link.revision != search.link.revision or link.token != search.link.token:
                return AGAIN
            row = await tx.rows.read(link.record, lock=True)
            if row is None or link.attempt is not None or link.remote_id is not None:
                return AGAIN
            row = await References(tx, mapping).row_in(row)
            answer, taken_by = await found.choose(tx, self.context, link)
            if answer is not None:
                await self._adopt(tx, mapping, link, row, answer)
                return AGAIN
            if taken_by is not None:
                await self._leave_alone(tx, mapping, link, row, taken_by.reason, taken_by.hint)
                return None
            decision = make_create(mapping, link, row)
            if isinstance(decision, Nothing):
                return await self._nothing(tx, link, decision, row)
            return await self._write_down(tx, mapping, decision)

    async def _take_search_refusal(self, mapping: EntityMapping, search: Search, error: CallRefused) -> None:
        """The remote will not look for what the row names."""
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(search.link.record, self.system)
            if link is not None and (link.revision, link.token) == (search.link.revision, search.link.token):
                await self._leave_alone(tx, mapping, link, search.row, error.message, error.hint)

    async def _leave_alone(
        self, tx: Transaction, mapping: EntityMapping, link: Link, row: Row, reason: str, hint: str
    ) -> None:
        """The record cannot have an object as it is: a dead letter, and nothing more before it changes."""
        await tx.journal.note(outward_letter(link, None, reason, hint, dict(row.values)))
        await tx.links.save(leave_alone(mapping, link, row))

    async def _adopt(self, tx: Transaction, mapping: EntityMapping, link: Link, row: Row, answer: Answer) -> None:
        adopted = replace(link, remote_id=answer.object.id, refused={})  # that was said of a record without an object
        seen = mapping.read(answer.object.document)
        merge = observe(mapping, adopted, row, seen, answer.window, found_in="linking")
        await self._apply(tx, mapping, link, replace(plain(merge), born=True), row, "linking")

    async def _refresh(self, mapping: EntityMapping, link: Link) -> None:
        """Look at the remote, and merge what it shows unless the link moved on meanwhile."""
        assert link.remote_id is not None, "only linked records are looked at"
        answer = await self.steady.called(self.remote.fetch, mapping.object, link.remote_id)
        await self.steady.retried(self._merge_look, mapping, link, answer)

    async def _merge_look(self, mapping: EntityMapping, seen_link: Link, answer: Answer) -> None:
        async with self.context.catalogue.transaction() as tx:
            link = await tx.links.lock(seen_link.record, self.system)
            if link is None or link.revision != seen_link.revision or answer.object.gone:
                return
            row = await tx.rows.read(link.record, lock=True)
            if row is not None:
                row = await References(tx, mapping).row_in(row)
            seen = mapping.read(answer.object.document)
            merge = observe(mapping, link, row, seen, answer.window, found_in="linking")
            await self._apply(tx, mapping, link, plain(merge), row, "look")
