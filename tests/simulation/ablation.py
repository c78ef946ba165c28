"""The rules of the sync, each with a way to switch it off: the simulation has to notice.

Nothing of this is in the source: a rule is switched off by putting another function in the place of the one that
keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bothways.flow import apply, bringin, inward, lanes, outward, pausing
from bothways.flow.calling import Caller, Outcome
from bothways.flow.context import Context
from bothways.flow.finding import Found
from bothways.flow.inward import Inward
from bothways.flow.moving import Moving
from bothways.flow.outward import Carry, Outward
from bothways.flow.references import References
from bothways.model.change import Change
from bothways.model.errors import FateUnknown, Unavailable
from bothways.model.link import Attempt, Base, Link, Window
from bothways.model.outcome import Parked
from bothways.model.pause import Lane
from bothways.model.record import Row
from bothways.model.remote import RemoteEvent
from bothways.model.values import Value
from bothways.ports import Transaction
from bothways.sync import merge as merging
from bothways.sync import outward as deciding
from bothways.sync.held import Trigger
from bothways.sync.inward import Receipt, Verdict, judge
from bothways.sync.mapping import EntityMapping
from bothways.sync.merge import Merge
from bothways.sync.outward import Decision, Make, decide
from tests.simulation.state import JournalPart, LinksPart

Patch = pytest.MonkeyPatch


def _forget_attempts(patch: Patch) -> None:
    """The attempt lives in the worker's memory only."""

    async def write_down(self: Outward, tx: Transaction, mapping: EntityMapping, made: Make) -> Carry:
        real = Outward_write_down
        carry = await real(self, tx, mapping, made)
        link = await tx.links.lock(made.link.record, self.system)
        assert link is not None, "it was saved just now"
        await tx.links.save(replace(link, attempt=None, due=None))
        return carry

    async def held(self: Outward, tx: Transaction, attempt: Attempt) -> Link | None:
        link = await tx.links.lock(attempt.record, self.system)
        return replace(link, attempt=attempt) if link is not None else None

    patch.setattr(Outward, "_write_down", write_down)
    patch.setattr(Outward, "_held", held)


Outward_write_down = Outward._write_down


def _trust_changes(patch: Patch) -> None:
    """What the change says is sent, not what the row is by now."""

    def from_change(mapping: EntityMapping, link: Link, row: Row | None, trigger: Trigger) -> Decision:
        if row is not None and trigger.changes:
            row = replace(row, values=trigger.changes[-1][1])
        return decide(mapping, link, row, trigger)

    patch.setattr(outward, "decide", from_change)


def _one_generation(patch: Patch) -> None:
    patch.setattr(outward, "begin_again", lambda _link, _row, _token: None)


def _believe_answers(patch: Patch) -> None:
    """What an answer shows of other fields becomes the base without a look at the row."""

    def observe(
        mapping: EntityMapping, link: Link, row: Row | None, seen: Mapping[str, Any], window: Window, **_: object
    ) -> Merge:
        return Merge(replace(merging._looked(link, window), base=Base(link.base.row, {**link.base.remote, **seen})))

    patch.setattr(deciding, "observe", observe)


async def _naive_outcome(self: Caller, attempt: Attempt, *, fresh: bool) -> Outcome:
    try:
        answer = await self.remote.call(attempt)
    except FateUnknown as error:
        raise Unavailable(str(error)) from error
    current = await self.remote.fetch(attempt.object, answer.object.id) if answer.replayed else answer
    return Outcome(answer.object, current, stale=answer.replayed)


def _repeat_failures(patch: Patch) -> None:
    """A stored failure is taken for one that passes."""
    patch.setattr(Caller, "outcome", _naive_outcome)


def _ignore_receipts(patch: Patch) -> None:
    patch.setattr(inward, "read_receipt", lambda _mapping, link, _row, _event, _own: Receipt(link, {}, ()))


def _judging(patch: Patch, changed: Callable[[Link, RemoteEvent, Attempt | None], Verdict]) -> None:
    patch.setattr(inward, "judge", changed)


def _merge_ambiguous(patch: Patch) -> None:
    def judged(link: Link, event: RemoteEvent, own: Attempt | None) -> Verdict:
        verdict = judge(link, event, own)
        return Verdict.MERGE if verdict is Verdict.FETCH else verdict

    _judging(patch, judged)


def _assume_no_effect(patch: Patch) -> None:
    """An attempt whose fate is unknown counts as one without effect."""

    async def fate(self: Caller, attempt: Attempt) -> None:
        return None

    patch.setattr(Caller, "_fate", fate)


def _mark_always(patch: Patch) -> None:
    for module in (apply, bringin):
        patch.setattr(module, "needs_nothing", lambda _mapping, _link, _row: True)


def _believe_dates(patch: Patch) -> None:
    """A picture counts as taken when its answer was written."""
    looked = merging._looked
    patch.setattr(merging, "_looked", lambda link, window: looked(link, Window(window.high, window.high)))


def _believe_replays(patch: Patch) -> None:
    """A replayed answer is taken for a picture of now."""
    real = Caller.outcome

    async def outcome(self: Caller, attempt: Attempt, *, fresh: bool) -> Outcome | None:
        remote = self.remote
        replayed = []

        class Deaf:
            key_memory_seconds = remote.key_memory_seconds
            fate = staticmethod(remote.fate)

            @staticmethod
            async def call(attempt: Attempt) -> Any:
                answer = await remote.call(attempt)
                if answer.replayed:
                    replayed.append(answer)
                return answer

            @staticmethod
            async def fetch(object: str, remote_id: str) -> Any:
                return replayed[0] if replayed else await remote.fetch(object, remote_id)

        caller = Caller(self.context, self.system)
        caller.remote = Deaf()  # type: ignore[assignment]  # only what is called here
        return await real(caller, attempt, fresh=fresh)

    patch.setattr(Caller, "outcome", outcome)


def _do_not_wait(patch: Patch) -> None:
    _judging(patch, lambda link, event, own: judge(replace(link, attempt=None), event, own))


class _Any(int):
    """Equal to every revision."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def _ignore_revisions(patch: Patch) -> None:
    real = Inward._merge_picture

    async def merge_picture(self: Inward, mapping: Any, event: Any, source: Any, before: Link, *rest: Any) -> bool:
        return await real(self, mapping, event, source, replace(before, revision=_Any()), *rest)

    patch.setattr(Inward, "_merge_picture", merge_picture)


def _let_late_workers_in(patch: Patch) -> None:
    async def held(self: Outward, tx: Transaction, attempt: Attempt) -> Link | None:
        link = await tx.links.lock(attempt.record, self.system)
        return replace(link, attempt=attempt) if link is not None else None

    patch.setattr(Outward, "_held", held)


def _no_tombstones(patch: Patch) -> None:
    async def never(self: LinksPart, system: str, entity: str, remote_id: str) -> bool:
        return False

    async def unlinked(self: Inward, tx: Transaction, mapping: EntityMapping, event: RemoteEvent) -> Link | None:
        link = await real(self, tx, mapping, event)
        return None if link is not None and link.deleted else link

    real = Inward._link
    patch.setattr(LinksPart, "is_retired", never)
    patch.setattr(Inward, "_link", unlinked)


def _drop_nothing(patch: Patch) -> None:
    """Old events are looked at as if they could be news."""

    def judged(link: Link, event: RemoteEvent, own: Attempt | None) -> Verdict:
        verdict = judge(link, event, own)
        old = verdict is Verdict.DROP and not link.deleted and link.remote_id == event.snapshot.id
        return Verdict.FETCH if old else verdict

    _judging(patch, judged)


def _settle_latest_at_once(patch: Patch) -> None:
    """What is held for ``latest`` goes into the row, whoever was later."""
    patch.setattr(Trigger, "committed", lambda _self, _column, _value: 0.0)


def _send_refused(patch: Patch) -> None:
    real = deciding.call_refused
    patch.setattr(
        outward, "call_refused", lambda mapping, link, path: replace(real(mapping, link, path), refused=link.refused)
    )


def _never_wait_for_references(patch: Patch) -> None:
    patch.setattr(References, "unlinked", lambda _self, _row: None)


def _never_look_for_a_match(patch: Patch) -> None:
    async def nothing(*_: object) -> Found:
        return Found(())

    patch.setattr(outward, "find_remote", nothing)


def _move_at_once(patch: Patch) -> None:
    async def arrive(self: Moving, change: Change, old: str, new: str, _place: object) -> None:
        await self.leave(change, old, new)

    patch.setattr(Moving, "arrive", arrive)


async def _park_unheld(context: Context, lane: Lane, work: Sequence[Parked]) -> bool:
    async with context.catalogue.transaction() as tx:
        found = await pausing.closures(tx.checkpoints, lane)
        for each in work if found else ():
            await tx.waiting.park(each)
    pausing.see(context, lane, found)
    return bool(found)


def _park_behind_a_lane_that_opens(patch: Patch) -> None:
    """Nobody wakes what was parked a moment after its lane was opened."""
    patch.setattr(lanes, "park", _park_unheld)


def _count_deletions_unlocked(patch: Patch) -> None:
    """Two workers count from the same number."""

    async def hold(self: JournalPart, name: str, **_: bool) -> Value:
        return await self.load(name)

    patch.setattr(JournalPart, "hold", hold)


RULES: Mapping[str, Callable[[Patch], None]] = {
    "attempt written before the call": _forget_attempts,
    "row read at delivery": _trust_changes,
    "a new generation for a key that is used again": _one_generation,
    "other fields of an answer merged": _believe_answers,
    "stored failures recognised": _repeat_failures,
    "receipts read for overwritten edits": _ignore_receipts,
    "ambiguous events fetched": _merge_ambiguous,
    "fate of attempts read": _assume_no_effect,
    "marker only where nothing is left to send": _mark_always,
    "window instead of the answer's Date": _believe_dates,
    "fetch after a replayed answer": _believe_replays,
    "waiting for a call under way": _do_not_wait,
    "revision checked after a fetch": _ignore_revisions,
    "late workers fenced": _let_late_workers_in,
    "tombstones": _no_tombstones,
    "old events dropped": _drop_nothing,
    "the later edit wins": _settle_latest_at_once,
    "refused values left out": _send_refused,
    "references waited for": _never_wait_for_references,
    "a match looked for before a create": _never_look_for_a_match,
    "a key that moves twice waited for": _move_at_once,
    "a lane held while work is parked": _park_behind_a_lane_that_opens,
    "deletions counted one by one": _count_deletions_unlocked,
}
"""Rule → what leaves it out."""
