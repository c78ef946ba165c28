"""SQL for one table: parameters are text, cast to the column's type by the database; results are read as text."""

# ruff: noqa: S608 - names are quoted and come from the database's own catalogue, `where` from the settings; values are
# parameters only

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from psycopg.pq.abc import PGresult

from bothways.connectors.postgres.tables import Column, TableDescription, quoted
from bothways.connectors.postgres.values import Kind, reader, to_text
from bothways.model.errors import MappingBroken, RowRefused
from bothways.model.record import Row
from bothways.model.values import Value, Values

Parameters = list[str | None]


class TableSql:
    """Statements that read and write some of a table's columns; the key's are always among them."""

    def __init__(self, table: TableDescription, columns: Iterable[str], where: str | None) -> None:
        if not table.key:
            raise MappingBroken(
                f"the table {table.sql_name} has no primary key",
                hint=f"ALTER TABLE {table.sql_name} ADD PRIMARY KEY (…);",
                entity=table.entity,
            )
        names = dict.fromkeys([*table.key, *columns])
        self.table = table
        self.columns: Mapping[str, Column] = {name: table.column(name) for name in names}
        self._readers = [(name, reader(column.type)) for name, column in self.columns.items()]
        takes_part = f"({where}) IS TRUE" if where else "TRUE"
        self._shown = ", ".join([*map(quoted, self.columns), takes_part])

    # ------------------------------------------------------------------------------------------------------ statements

    @cached_property
    def select(self) -> bytes:
        """One row by its key."""
        return _sql(f"SELECT {self._shown} FROM {self.table.sql_name}", self._by_key)

    @cached_property
    def select_locked(self) -> bytes:
        """The same, locked; rows that point to it by a foreign key can still be written."""
        return self.select + b" FOR NO KEY UPDATE"

    @cached_property
    def delete(self) -> bytes:
        """One row by its key."""
        return _sql(f"DELETE FROM {self.table.sql_name}", self._by_key)

    @cached_property
    def _by_key(self) -> str:
        return " WHERE " + " AND ".join(self._equals(self.columns[name]) for name in self.table.key)

    def insert(self, columns: Sequence[Column]) -> bytes:
        """A row with these columns given."""
        if not columns:
            return _sql(f"INSERT INTO {self.table.sql_name} DEFAULT VALUES RETURNING {self._shown}")
        names = ", ".join(quoted(column.name) for column in columns)
        values = ", ".join(_PLACE + column.cast + ")" for column in columns)
        return _sql(f"INSERT INTO {self.table.sql_name} ({names}) VALUES ({values}) RETURNING {self._shown}")

    def update(self, columns: Sequence[Column]) -> bytes:
        """These columns of the row with the key that follows."""
        sets = ", ".join(f"{quoted(column.name)} = {_PLACE}{column.cast})" for column in columns)
        return _sql(f"UPDATE {self.table.sql_name} SET {sets}", self._by_key, f" RETURNING {self._shown}")

    def find(self, columns: Sequence[tuple[Column, bool]]) -> bytes:
        """Rows whose columns equal the parameters, or (the flag) are null; then the limit."""
        conditions = [f"{quoted(c.name)} IS NULL" if null else self._equals(c) for c, null in columns]
        return _sql(
            f"SELECT {self._shown} FROM {self.table.sql_name} WHERE {' AND '.join(conditions) or 'TRUE'}",
            f" ORDER BY {self._key_names} LIMIT {_PLACE}bigint)",
        )

    def page(self, *, after: bool) -> bytes:
        """Rows in the key's order, from the start or after a key; then the limit."""
        values = ", ".join(_PLACE + self.columns[name].cast + ")" for name in self.table.key)
        where = f" WHERE ({self._key_names}) > ({values})" if after else ""
        return _sql(
            f"SELECT {self._shown} FROM {self.table.sql_name}{where}",
            f" ORDER BY {self._key_names} LIMIT {_PLACE}bigint)",
        )

    @cached_property
    def _key_names(self) -> str:
        return ", ".join(map(quoted, self.table.key))

    def _equals(self, column: Column) -> str:
        if column.type.kind is Kind.JSON:  # the type json has no equality of its own
            return f"{quoted(column.name)}::jsonb = {_PLACE}jsonb)"
        return f"{quoted(column.name)} = {_PLACE}{column.cast})"

    # ---------------------------------------------------------------------------------------------------------- values

    def column(self, name: str) -> Column:
        """A column that these statements may write; raises ``MappingBroken``."""
        found = self.columns.get(name)
        if found is None:
            raise MappingBroken(
                f"the column {name!r} of {self.table.schema}.{self.table.name} is not mapped",
                hint="map it in the settings",
                entity=self.table.entity,
            )
        return found

    def key_parameters(self, key: str) -> Parameters:
        """The parameters of a key as in ``RecordId``. Raises ``RowRefused`` for what is no key of this table."""
        values = json.loads(key)
        if not isinstance(values, dict) or set(values) != set(self.table.key):
            raise RowRefused(f"{key} is no key of {self.table.schema}.{self.table.name}")
        return [parameter(self.columns[name], values[name]) for name in self.table.key]

    def key_of(self, values: Values) -> str:
        """The key as in ``RecordId``."""
        return key_text({name: values[name] for name in self.table.key})

    def rows(self, result: PGresult) -> list[Row]:
        """What a statement of these gave."""
        return [self._row(result, number) for number in range(result.ntuples)]

    def _row(self, result: PGresult, number: int) -> Row:
        values: dict[str, Value] = {}
        for place, (name, read) in enumerate(self._readers):
            data = result.get_value(number, place)
            values[name] = None if data is None else read(bytes(data).decode())
        return Row(self.key_of(values), values, takes_part=result.get_value(number, len(self._readers)) == b"t")


def key_text(key: Values) -> str:
    """A primary key as compact JSON."""
    return json.dumps(key, separators=(",", ":"), ensure_ascii=False)


def parameter(column: Column, value: Value) -> str | None:
    """A value as the text that is sent. Raises ``RowRefused`` where it has none."""
    try:
        return to_text(value, column.type)
    except ValueError as error:
        raise RowRefused(f"{column.name}: {error}", field=column.name, hint="change the value or the mapping") from None


_PLACE = "CAST(\0 AS "
"""Where a parameter goes; the NUL becomes ``%s`` once every other per cent sign is doubled."""


def _sql(*parts: str) -> bytes:
    return "".join(parts).replace("%", "%%").replace("\0", "%s").encode()
