"""Which remote object a row without a link is: by the id that the row holds, by our mark, by matching fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bothways.flow.context import Context
from bothways.model.link import Link
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.ports import Transaction
from bothways.sync.mapping import EntityMapping

MOST_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record can be neither linked nor created."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the remote has that may be this row. ``named``: the row names it itself, by its id column."""

    answers: Sequence[Answer]
    named: str | None = None

    async def choose(self, tx: Transaction, context: Context, link: Link) -> tuple[Answer | None, Problem | None]:
        """The one to adopt, or why there must be none; neither: it is a new record."""
        free: list[Answer] = []
        owner: RecordId | None = None
        for answer in self.answers:
            found = answer.object
            if await tx.index.is_retired(link.system, link.record.entity, found.id):
                continue
            if found.gone:
                return None, self._missing(link, found)
            if found.mark and found.mark.installation == context.installation and found.mark.token == link.token:
                return answer, None
            other = await _owner(tx, context, link, found)
            owner = other or owner
            if other is None:
                free.append(answer)
        if len(free) == 1:
            return free[0], None
        if not free and owner is not None:
            return None, self._taken(link, owner)
        return None, None

    def _missing(self, link: Link, found: RemoteObject) -> Problem:
        return Problem(
            f"{link.record} names {found.id}, which is not at {link.system}",
            "put the right id into the column, or empty it so that a new one is made",
        )

    def _taken(self, link: Link, owner: RecordId) -> Problem:
        ids = ", ".join(answer.object.id for answer in self.answers)
        return Problem(
            f"{link.record} matches {ids}, which is linked to {owner} already",
            "make the two rows one, or change the field that they are matched on",
        )


async def _owner(tx: Transaction, context: Context, link: Link, found: RemoteObject) -> RecordId | None:
    """The other record that this object belongs to, or is being made for."""
    known = await tx.references.record(link.system, link.record.entity, found.id)
    if known is not None:
        return known if known != link.record else None
    if found.mark is None or found.mark.installation != context.installation:
        return None
    marked = await tx.index.by_token(link.system, found.mark.token)
    return marked.record if marked is not None and marked.record != link.record else None


async def find_remote(context: Context, mapping: EntityMapping, row: Row) -> Found:
    """Ask the remote; nothing is locked meanwhile."""
    remote = context.remotes[mapping.system]
    named = row.values.get(mapping.id_column) if mapping.id_column else None
    if isinstance(named, str) and named:
        return Found((await remote.fetch(mapping.object, named),), named)
    equal = {}
    for column in mapping.match_on:
        each = mapping.by_column[column]
        equal[each.path] = each.transform.outward(row.values.get(column))
    if not equal or any(value is None or value == "" for value in equal.values()):
        return Found(())
    matches = await remote.match(mapping.object, equal, limit=MOST_CANDIDATES)
    return Found([await remote.fetch(mapping.object, match.id) for match in matches])
