"""Columns that point to other records: their keys on this side, remote ids on the other.

Deciding works on rows "in the sync's form", in which such a column holds the remote id of what it points to.
"""

from __future__ import annotations

import json
from dataclasses import replace

from bothways.model.errors import RowRefused
from bothways.model.record import RecordId, Row
from bothways.model.values import Value, Values
from bothways.ports import Transaction
from bothways.sync.mapping import EntityMapping, FieldMap

UNLINKED = "unlinked:"
"""Stands before the key of a record that has no remote object yet; never sent, since what points to it waits."""


class References:
    """The translation, inside one transaction."""

    def __init__(self, tx: Transaction, mapping: EntityMapping) -> None:
        self.tx, self.mapping = tx, mapping
        self.fields = tuple(each for each in mapping.fields if each.ref is not None)

    async def row_in(self, row: Row) -> Row:
        """The row in the sync's form."""
        if not self.fields:
            return row
        values = dict(row.values)
        for each in self.fields:
            values[each.column] = await self._remote_id(each, values.get(each.column))
        return replace(row, values=values)

    async def patch_out(self, patch: Values) -> Values:
        """A patch in the sync's form as the database takes it.

        Raises ``UnknownReference`` for an object that has no record yet, ``RowRefused`` for one that never will.
        """
        if not self.fields:
            return patch
        values = dict(patch)
        for each in self.fields:
            if each.column in values:
                values[each.column] = await self._key(each, values[each.column])
        return values

    def unlinked(self, row: Row) -> RecordId | None:
        """The first record that this row (in the sync's form) has to wait for before it can go out."""
        for each in self.fields:
            value = row.values.get(each.column)
            if each.ref and each.goes_out and isinstance(value, str) and value.startswith(UNLINKED):
                return RecordId(each.ref, value.removeprefix(UNLINKED))
        return None

    async def _remote_id(self, each: FieldMap, value: Value) -> Value:
        if value is None or each.ref is None:
            return None
        target = RecordId(each.ref, json.dumps({each.ref_key: value}, separators=(",", ":"), ensure_ascii=False))
        return await self.tx.references.remote_id(target, self.mapping.system) or UNLINKED + target.key

    async def _key(self, each: FieldMap, value: Value) -> Value:
        if not isinstance(value, str) or each.ref is None:
            return None
        system = self.mapping.system
        record = await self.tx.references.record(system, each.ref, value)
        if record is None and await self.tx.index.is_retired(system, each.ref, value):
            raise RowRefused(
                f"it points to {value}, which is deleted at {system}",
                hint=f"let it point to something else in {system}; the rest of the record went through",
                field=each.column,
            )
        if record is None:
            raise UnknownReference(each.ref, value)
        key: dict[str, Value] = json.loads(record.key)
        return next(iter(key.values()))


class UnknownReference(Exception):
    """The remote points to an object that has no record yet: bring that one in first, then decide again."""

    def __init__(self, entity: str, remote_id: str) -> None:
        super().__init__(f"{entity} {remote_id} has no record yet")
        self.entity, self.remote_id = entity, remote_id
