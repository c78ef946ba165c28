"""Which remote object a row without a link is: by the id that the row holds, by our mark, by matching fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bothways.flow.context import Context
from bothways.model.link import Link
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.ports import Transaction
from bothways.sync.linking import (
    MOST_CANDIDATES,
    AdoptObject,
    Counterpart,
    Impossible,
    choose_object,
    match_of_row,
    names,
)
from bothways.sync.mapping import EntityMapping


@dataclass(frozen=True, slots=True)
class Found:
    """What the remote has that may be this row. ``named``: the row names it itself, by its id column."""

    answers: Sequence[Answer]
    named: str | None = None

    async def choose(self, tx: Transaction, context: Context, link: Link) -> tuple[Answer | None, Impossible | None]:
        """The one to adopt, or why there must be none; neither: it is a new record."""
        counterparts: list[Counterpart] = []
        for answer in self.answers:
            found = answer.object
            if await tx.index.is_retired(link.system, link.record.entity, found.id):
                continue
            mark = found.mark if found.mark and found.mark.installation == context.installation else None
            ours = mark is not None and mark.token == link.token
            owner = None if ours or found.gone else await self._owner(tx, context, link, found)
            counterparts.append(Counterpart(found.id, found.gone, ours, owner))
        choice = choose_object(link.record, link.system, counterparts, named=self.named)
        if isinstance(choice, AdoptObject):
            return next(answer for answer in self.answers if answer.object.id == choice.id), None
        return None, choice if isinstance(choice, Impossible) else None

    async def _owner(self, tx: Transaction, context: Context, link: Link, found: RemoteObject) -> RecordId | None:
        """The other record that this object belongs to, or is being made for."""
        known = await tx.references.record(link.system, link.record.entity, found.id)
        if known is not None:
            return known if known != link.record else None
        if found.mark is not None and found.mark.installation == context.installation:
            marked = await tx.index.by_token(link.system, found.mark.token)
            if marked is not None and marked.record != link.record:
                return marked.record
        mapping = context.mappings[link.record.entity, link.system]
        return await _named_by_another(tx, mapping, link.record, found.id) if self.named is None else None


async def _named_by_another(
    tx: Transaction, mapping: EntityMapping, record: RecordId, remote_id: str
) -> RecordId | None:
    """The row that holds this id in the user's own column: it will be linked as soon as it is looked at."""
    if mapping.id_column is None:
        return None
    rows = await tx.search.find(mapping.entity, {mapping.id_column: remote_id}, limit=2)
    return next((RecordId(mapping.entity, row.key) for row in rows if row.key != record.key), None)


async def find_remote(context: Context, mapping: EntityMapping, row: Row) -> Found:
    """Ask the remote; nothing is locked meanwhile."""
    remote = context.remotes[mapping.system]
    named = names(mapping, row)
    if named is not None:
        return Found((await remote.fetch(mapping.object, named),), named)
    equal = match_of_row(mapping, row)
    if not equal:
        return Found(())
    matches = await remote.match(mapping.object, equal, limit=MOST_CANDIDATES)
    return Found([await remote.fetch(mapping.object, match.id) for match in matches])
