"""The user's rows in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import psycopg
from psycopg.pq.abc import PGresult

from bothways.connectors.postgres.errors import is_of_mapping, mapping_error, row_error
from bothways.connectors.postgres.session import Driver, Pipe
from bothways.connectors.postgres.statements import Parameters, TableSql, parameter
from bothways.connectors.postgres.tables import Column, describe
from bothways.model.errors import MappingBroken, NotUnique, RowRefused, UnknownEntity
from bothways.model.record import RecordId, Row
from bothways.model.values import Values
from bothways.sync.mapping import TableMap


class Tables:
    """The statements of every mapped table, described when first needed and again after an error that doubts them."""

    def __init__(self, tables: Sequence[TableMap]) -> None:
        self.maps: Mapping[str, TableMap] = {table.entity: table for table in tables}
        self._mapped: dict[str, TableSql] = {}
        self._whole: dict[str, TableSql] = {}

    async def mapped(self, driver: Driver, entity: str) -> TableSql:
        """Statements on the mapped columns."""
        return self._mapped.get(entity) or (await self._describe(driver, entity))[0]

    async def whole(self, driver: Driver, entity: str) -> TableSql:
        """Statements on all columns."""
        return self._whole.get(entity) or (await self._describe(driver, entity))[1]

    def forget(self) -> None:
        """Describe all anew."""
        self._mapped.clear()
        self._whole.clear()

    async def _describe(self, driver: Driver, entity: str) -> tuple[TableSql, TableSql]:
        table = self.maps.get(entity)
        if table is None:
            raise UnknownEntity(f"there is no entity {entity!r}", hint="its name stands in the settings")
        found = await describe(driver, table)
        if found is None:
            raise MappingBroken(
                f"there is no table {table.table!r}, which the entity {entity!r} maps",
                hint="put it back, or change the settings; a table outside the search path needs its schema's name",
                entity=entity,
            )
        mapped, whole = TableSql(found, sorted(table.columns), table.where), TableSql(found, found.columns, table.where)
        self._mapped[entity], self._whole[entity] = mapped, whole
        return mapped, whole


class PostgresRows:
    """``ports.Rows`` and ``RowSearch`` on one connection's transaction; ``whole``: on all columns, for people."""

    def __init__(self, pipe: Pipe, tables: Tables, *, whole: bool = False, row_lock: float | None = None) -> None:
        """``row_lock``: how many seconds to wait for a row that somebody else has locked, if not as long as usual."""
        self._pipe, self._tables, self._whole, self._row_lock = pipe, tables, whole, row_lock
        self._savepoint = False
        self._entity: str | None = None
        self.wrote = False
        """Whether this transaction has changed a row."""

    async def table(self, entity: str) -> TableSql:
        """The entity's statements."""
        tables, self._entity = self._tables, entity
        return await (tables.whole if self._whole else tables.mapped)(self._pipe.driver, entity)

    async def read(self, record: RecordId, *, lock: bool = False) -> Row | None:
        table = await self.table(record.entity)
        await self._pipe.flush()
        if lock and self._row_lock is not None:
            self._pipe.later(f"SET LOCAL lock_timeout = '{round(self._row_lock * 1000)}ms'".encode())
            self._row_lock = None
        statement = table.select_locked if lock else table.select
        rows = table.rows(await self._execute(statement, table.key_parameters(record.key)))
        return rows[0] if rows else None

    async def insert(self, entity: str, values: Values) -> Row:
        table = await self.table(entity)
        written, parameters = _written(table, values)
        row = await self._write(table, table.insert(written), parameters, written)
        if row is None:
            raise RowRefused(f"a trigger of {table.table.sql_name} kept the new row out")
        return row

    async def update(self, record: RecordId, values: Values) -> Row:
        table = await self.table(record.entity)
        written, parameters = _written(table, values)
        key = table.key_parameters(record.key)
        if written:
            row = await self._write(table, table.update(written), [*parameters, *key], written)
        else:
            row = await self.read(record)
        if row is None:
            raise RowRefused(f"there is no {record}, or a trigger of its table keeps it as it is")
        return row

    async def delete(self, record: RecordId) -> None:
        table = await self.table(record.entity)
        result = await self._guarded(table, table.delete, table.key_parameters(record.key), ())
        self.wrote = self.wrote or result.command_tuples != 0

    async def find(self, entity: str, equal: Values, *, limit: int = 2) -> Sequence[Row]:
        table = await self.table(entity)
        try:
            given = [(table.column(name), parameter(table.column(name), value)) for name, value in equal.items()]
        except RowRefused:
            return []  # no row can hold such a value
        statement = table.find([(column, text is None) for column, text in given])
        parameters = [text for _, text in given if text is not None]
        if all(column.textual for column, _ in given):
            return table.rows(await self._execute(statement, [*parameters, str(limit)]))
        try:
            return table.rows(await self._guarded(table, statement, [*parameters, str(limit)], ()))
        except RowRefused:
            return []

    async def page(self, entity: str, after: str | None, limit: int) -> Sequence[Row]:
        table = await self.table(entity)
        parameters = [] if after is None else table.key_parameters(after)
        statement = table.page(after=after is not None)
        return table.rows(await self._execute(statement, [*parameters, str(limit)]))

    # ------------------------------------------------------------------------------------------------------ statements

    async def _execute(self, statement: bytes, parameters: Parameters) -> PGresult:
        try:
            cursor = await self._pipe.now(statement, parameters)
        except psycopg.Error as error:
            if is_of_mapping(error):
                raise mapping_error(error, self._entity) from error
            raise
        assert cursor.pgresult is not None
        return cursor.pgresult

    async def _write(
        self, table: TableSql, statement: bytes, parameters: Parameters, columns: Sequence[Column]
    ) -> Row | None:
        rows = table.rows(await self._guarded(table, statement, parameters, columns))
        self.wrote = True
        if rows and table.table.has_after_triggers:
            rows = table.rows(await self._execute(table.select, table.key_parameters(rows[0].key)))
        return rows[0] if rows else None

    async def _guarded(
        self, table: TableSql, statement: bytes, parameters: Parameters, columns: Sequence[Column]
    ) -> PGresult:
        """Execute in a savepoint, so that the transaction can go on after a refusal.

        The savepoint is released together with the setting of the next one, or by the commit: a round trip less. What
        waited in the pipe is executed first: its failure is no refusal of this row.
        """
        await self._pipe.flush()
        release = "RELEASE SAVEPOINT bothways; " if self._savepoint else ""
        deferred = "; SET CONSTRAINTS ALL IMMEDIATE" if table.table.has_deferred else ""
        await self._pipe.driver.execute(f"{release}SAVEPOINT bothways{deferred}".encode(), prepare=False)
        self._savepoint = True
        try:
            result = await self._execute(statement, parameters)
        except psycopg.Error as error:
            await self._refuse(error, table, parameters, columns)
        return result

    async def _refuse(
        self, error: psycopg.Error, table: TableSql, parameters: Parameters, columns: Sequence[Column]
    ) -> NoReturn:
        if row_error(error) is None:
            raise error
        self._tables.forget()  # the refusal may come from what we believed of the table
        await self._undo()
        field = await self._blamed(error, table, parameters, columns)
        refusal = row_error(error, field)
        assert isinstance(refusal, RowRefused | NotUnique)
        raise refusal from error

    async def _undo(self) -> None:
        await self._pipe.driver.execute(b"ROLLBACK TO SAVEPOINT bothways", prepare=False)

    async def _blamed(
        self, error: psycopg.Error, table: TableSql, parameters: Parameters, columns: Sequence[Column]
    ) -> str | None:
        """The column that is to blame, if it is one of those written. PostgreSQL names it for NOT NULL only."""
        constraint = table.table.constraints.get(error.diag.constraint_name or "")
        if error.diag.column_name is not None or constraint is not None:
            looked_at = {error.diag.column_name} if constraint is None else set(constraint.columns)
            found = [column.name for column in columns if column.name in looked_at]
            return found[0] if len(found) == 1 else None
        given = dict(zip([column.name for column in columns], parameters, strict=False))
        if error.sqlstate == "22001":
            return next((c.name for c in columns if c.length is not None and len(given[c.name] or "") > c.length), None)
        if error.sqlstate is not None and error.sqlstate[:2] in {"22", "23"}:
            return await self._first_bad([(column, given[column.name]) for column in columns])
        return None

    async def _first_bad(self, given: Sequence[tuple[Column, str | None]]) -> str | None:
        """The first column whose type does not take its value, found by trying each."""
        for column, text in given:
            statement = f"SELECT CAST(\0 AS {column.type_name})".replace("%", "%%").replace("\0", "%s")
            try:
                await self._execute(statement.encode(), [text])
            except (psycopg.errors.DataError, psycopg.errors.IntegrityError):
                await self._undo()
                return column.name
        return None


def _written(table: TableSql, values: Values) -> tuple[list[Column], Parameters]:
    """The columns that are written, and their parameters; what the database generates is left to it."""
    columns = [column for column in map(table.column, values) if not column.generated]
    return columns, [parameter(column, values[column.name]) for column in columns]
