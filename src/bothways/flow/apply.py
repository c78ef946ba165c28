"""Carrying a decision out inside one transaction: the row, the base, the marker, what is kept for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import structlog

from bothways.flow.references import References
from bothways.model.errors import NotUnique, RowRefused
from bothways.model.link import Link
from bothways.model.outcome import Conflict, DeadLetter, Direction
from bothways.model.record import Row
from bothways.model.values import Value, Values
from bothways.ports import Transaction
from bothways.sync.mapping import EntityMapping
from bothways.sync.merge import BadValue, Merge, refuse_inward, settle
from bothways.sync.outward import Taken, needs_nothing

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """What a write comes from, for dead letters and the marker."""

    cause: str
    """An event's id, an attempt's key."""
    payload: str = ""


def _tell(conflict: Conflict) -> None:
    """For whoever watches; the two values are the journal's matter."""
    _log.info(
        "conflict.found",
        entity=conflict.record.entity,
        key=conflict.record.key,
        system=conflict.system,
        column=conflict.column,
        winner=conflict.winner,
        found_in=conflict.found_in,
    )


def attempt_over(system: str, remote_id: str) -> str:
    """The name that events wait on while a call is under way."""
    return f"attempt:{system}:{remote_id}"


def link_made(system: str, entity: str, key: str) -> str:
    """The name that references wait on."""
    return f"link:{system}:{entity}:{key}"


@dataclass(frozen=True, slots=True)
class Applied:
    """Both as they are stored now; no row where there was none, or where it was to be deleted."""

    link: Link
    row: Row | None


async def apply(
    tx: Transaction, mapping: EntityMapping, before: Link, taken: Taken, row: Row | None, source: Source
) -> Applied:
    """Write what was decided. ``row`` is locked, and read in the sync's form."""
    link = taken.merge.link
    if taken.delete_row and row is not None:
        link, row = await _delete_row(tx, link, source), None
    elif row is not None:
        link, row = await _write_row(tx, mapping, before, taken, row, source)
    for bad in taken.merge.bad:
        link = replace(link, refused_inward={**link.refused_inward, bad.column: bad.value})
        await tx.journal.note(_bad_letter(link, bad, source))
    for conflict in taken.merge.conflicts:
        await tx.journal.note(conflict)
        tx.afterwards(partial(_tell, conflict))
    if taken.retire is not None:
        await tx.index.retire(link.system, link.record.entity, taken.retire)
    await tx.links.save(link)
    if taken.born:
        await tx.waiting.wake(link_made(link.system, link.record.entity, link.record.key))
    if before.attempt is not None and link.attempt is None and link.remote_id is not None:
        await tx.waiting.wake(attempt_over(link.system, link.remote_id))
    return Applied(link, row)


async def _delete_row(tx: Transaction, link: Link, source: Source) -> Link:
    """A row that cannot be deleted is kept: what happens to it makes no new remote object of it."""
    try:
        await tx.rows.delete(link.record)
    except RowRefused as error:
        hint = error.hint or "delete what points to the row, then replay this letter; or delete the row by hand"
        await tx.journal.note(_letter(link, None, error.message, hint, source))
        return replace(link, row_kept=True)
    await tx.mark(link.system, source.cause)
    return link


async def _write_row(
    tx: Transaction, mapping: EntityMapping, before: Link, taken: Taken, row: Row, source: Source
) -> tuple[Link, Row]:
    merge, link = taken.merge, taken.merge.link
    patch = dict(merge.row_patch)
    if taken.mark_row and mapping.mark_in is not None:
        patch[mapping.mark_in.name] = mapping.mark_in.value
    if (
        mapping.id_column
        and link.remote_id
        and not link.deleted
        and row.values.get(mapping.id_column) != link.remote_id
    ):
        patch[mapping.id_column] = link.remote_id
    if not patch:
        return link, row
    after, refused = await _update(tx, mapping, link, patch, source)
    link = settle(
        replace(merge, row_patch={c: v for c, v in merge.row_patch.items() if c not in refused}), after or row
    )
    for column in refused:
        if column in mapping.by_column:
            link = refuse_inward(link, before, column, merge.link.base.remote.get(column))
    if after is not None and needs_nothing(mapping, link, after):
        await tx.mark(link.system, source.cause)
    return link, after or row


async def _update(
    tx: Transaction, mapping: EntityMapping, link: Link, patch: Values, source: Source
) -> tuple[Row | None, set[str]]:
    """Write all columns at once; where the database refuses that, one by one, so that only what is wrong stays out."""
    references = References(tx, mapping)
    try:
        return await references.row_in(await tx.rows.update(link.record, await references.patch_out(patch))), set()
    except (RowRefused, NotUnique) as error:
        if len(patch) == 1:
            column = next(iter(patch))
            await tx.journal.note(_refused_letter(link, column, error, source))
            return None, {column}
    row: Row | None = None
    refused: set[str] = set()
    for column, value in patch.items():
        written, bad = await _update(tx, mapping, link, {column: value}, source)
        row, refused = written or row, refused | bad
    return row, refused


def _letter(link: Link, column: str | None, reason: str, hint: str, source: Source) -> DeadLetter:
    return DeadLetter(
        Direction.IN,
        link.system,
        link.record.entity,
        link.record.key,
        column,
        reason,
        hint,
        source.payload or "{}",
        source.cause,
    )


def _bad_letter(link: Link, bad: BadValue, source: Source) -> DeadLetter:
    hint = f"change the value in {link.system}, or map the field with a transform that takes it"
    payload = Source(source.cause, source.payload or json.dumps({bad.column: bad.value}, default=str))
    return _letter(link, bad.column, bad.reason, hint, payload)


def _refused_letter(link: Link, column: str, error: RowRefused | NotUnique, source: Source) -> DeadLetter:
    hint = error.hint or f"change the value in {link.system}, or the constraint; the rest of the record went through"
    return _letter(link, column, error.message, hint, source)


def outward_letter(link: Link, column: str | None, reason: str, hint: str, payload: Mapping[str, Value]) -> DeadLetter:
    """What could not be sent."""
    body = json.dumps(payload, default=str)
    return DeadLetter(Direction.OUT, link.system, link.record.entity, link.record.key, column, reason, hint, body)


def plain(merge: Merge) -> Taken:
    """A merge with nothing else to it."""
    return Taken(merge)
