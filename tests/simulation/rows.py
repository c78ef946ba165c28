"""The user's rows in memory: ``ports.Rows`` and ``ports.RowSearch``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from bothways.model.change import Operation
from bothways.model.errors import NotUnique, RowRefused
from bothways.model.record import RecordId, Row
from bothways.model.values import Value, Values
from tests.simulation.database import GONE, Committed, Table
from tests.simulation.transaction import Core


class RowsPart(Core):
    """The rows, inside one transaction."""

    def _row(self, record: RecordId) -> Row | None:
        values = self.get(("row", record.entity, record.key))
        return None if values is None else Row(record.key, values)

    async def read(self, record: RecordId, *, lock: bool = False) -> Row | None:
        """See ``ports.Rows``."""
        await self.step()
        if lock:
            await self.acquire(("row", record.entity, record.key))
        return self._row(record)

    async def insert(self, entity: str, values: Values) -> Row:
        """See ``ports.Rows``."""
        await self.step()
        table = self.db.tables[entity]
        row: dict[str, Value] = dict.fromkeys(table.columns)
        row.update(values)
        if row.get(table.key) is None:
            row[table.key] = self.db.next_key
            self.db.next_key += 1
        key = json.dumps({table.key: row[table.key]}, separators=(",", ":"))
        record = RecordId(entity, key)
        await self.acquire(("row", entity, key))
        if self._row(record) is not None:
            raise NotUnique(f"there is a {record} already", constraint="primary key")
        await self._check(table, record, row, values)
        self._store(record, None, row)
        return Row(key, row)

    async def update(self, record: RecordId, values: Values) -> Row:
        """See ``ports.Rows``."""
        await self.step()
        await self.acquire(("row", record.entity, record.key))
        before = self._row(record)
        if before is None:
            raise RowRefused(f"there is no {record}")
        table = self.db.tables[record.entity]
        row = {**before.values, **values}
        await self._check(table, record, row, values)
        self._store(record, before.values, row)
        return Row(record.key, row)

    async def delete(self, record: RecordId) -> None:
        """See ``ports.Rows``."""
        await self.step()
        await self.acquire(("row", record.entity, record.key))
        before = self._row(record)
        if before is not None:
            self.writes["row", record.entity, record.key] = GONE
            self.changes.append(Committed(record, Operation.DELETE, before.values, None))

    async def move(self, record: RecordId, key: Value) -> RecordId:
        """Change the primary key, as an application may: one deletion and one creation that name each other."""
        table = self.db.tables[record.entity]
        new = RecordId(record.entity, json.dumps({table.key: key}, separators=(",", ":")))
        for each in (record, new):
            await self.acquire(("row", each.entity, each.key))
        row = self._row(record)
        if row is None or self._row(new) is not None:
            raise NotUnique("no such row, or the key is taken")
        after = {**row.values, table.key: key}
        self.writes["row", record.entity, record.key] = GONE
        self.writes["row", new.entity, new.key] = after
        self.changes.append(Committed(record, Operation.DELETE, row.values, None, moved_to=new.key))
        self.changes.append(Committed(new, Operation.CREATE, None, after, moved_from=record.key))
        return new

    async def _check(self, table: Table, record: RecordId, row: dict[str, Value], values: Values) -> None:
        for column, value in values.items():
            wrong = table.check(column, value)
            if wrong:
                raise RowRefused(wrong, field=column)
        table.derive(row)
        for column in table.unique:
            if row[column] is None:
                continue
            await self.acquire(("unique", record.entity, column, str(row[column])))
            for (other, key), there in self.select("row").items():
                if other == record.entity and key != record.key and there[column] == row[column]:
                    raise NotUnique(f"{column} is taken", constraint=column)

    def _store(self, record: RecordId, before: Values | None, row: dict[str, Value]) -> None:
        self.writes["row", record.entity, record.key] = row
        operation = Operation.CREATE if before is None else Operation.UPDATE
        self.changes.append(Committed(record, operation, before, dict(row)))

    async def find(self, entity: str, equal: Values, *, limit: int = 2) -> Sequence[Row]:
        """See ``ports.RowSearch``."""
        await self.step()
        found = [
            Row(key, values)
            for (of, key), values in self.select("row").items()
            if of == entity and all(values[c] == v for c, v in equal.items())
        ]
        return sorted(found, key=lambda row: row.key)[:limit]

    async def page(self, entity: str, after: str | None, limit: int) -> Sequence[Row]:
        """See ``ports.RowSearch``."""
        await self.step()
        name = self.db.tables[entity].key
        rows = [Row(key, values) for (of, key), values in self.select("row").items() if of == entity]
        start = json.loads(after)[name] if after is not None else None
        place: Callable[[Row], Any] = lambda row: row.values[name]  # noqa: E731 - it has a type of its own
        return sorted((row for row in rows if start is None or place(row) > start), key=place)[:limit]
