"""The relations that the stream names, matched with the mapped tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from bothways.connectors.postgres.envelope import Place, Table
from bothways.connectors.postgres.pgoutput import Relation
from bothways.connectors.postgres.shapes import shape
from bothways.connectors.postgres.tables import TableDescription, describe
from bothways.connectors.postgres.types import column_types
from bothways.eventlog.form import Form
from bothways.model.errors import MappingBroken, SourceLost
from bothways.sync.mapping import TableMap

UNCOVERED = "run `bothways setup`, which adds it, then `bothways backfill`"


class Relations:
    """Knows by its name which relation is whose table. One per connection of capture; its calls are made one by one."""

    def __init__(
        self,
        url: str,
        tables: Sequence[TableMap],
        publication: str,
        name: str = "",
        database: str = "",
        form: Form | None = None,
    ) -> None:
        """``name``, ``database``, ``form``: for ``table_for`` only."""
        self._url = url
        self._maps = tables
        self._publication = publication
        self._name = name
        self._database = database
        self._form = form or Form()
        self._found: dict[tuple[str, str], TableMap] = {}
        self._oids: dict[int, tuple[str, str]] = {}

    async def open(self) -> None:
        """Find the mapped tables. Raises ``MappingBroken`` for one that is gone or not published, ``SourceLost``."""
        async with await self._connect() as connection:
            covered = await self._covered(connection)
            for table in self._maps:
                described = await _described(connection, table)
                if (described.schema, described.name) not in covered:
                    raise MappingBroken(self._uncovered(described), hint=UNCOVERED)
                self._found[described.schema, described.name] = table

    async def _covered(self, connection: psycopg.AsyncConnection[Any]) -> Collection[tuple[str, str]]:
        """Schema and name of each table whose changes come. Raises ``SourceLost`` where none can."""
        cursor = await connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [self._publication])
        if await cursor.fetchone() is None:
            raise SourceLost(
                f"the publication {self._publication} does not exist: the server does not know what to send",
                hint="run `bothways setup`, which makes it, then `bothways backfill`, which finds what was missed",
            )
        cursor = await connection.execute(_PUBLISHED, [self._publication])
        return set(await cursor.fetchall())

    def _uncovered(self, table: TableDescription) -> str:
        """What is wrong with a table that is not covered."""
        return (
            f"the table {table.sql_name} is not in the publication {self._publication}: its changes would not be seen"
        )

    async def wal_end(self) -> int:
        """Up to where the server's WAL is safe on disk."""
        async with await self._connect() as connection:
            cursor = await connection.execute(_WAL_END)
            (found,) = await cursor.fetchone() or (0,)
        return int(found)

    async def table_for(self, relation: Relation) -> Table | None:
        """The table as the stream will show it; None for one that is not mapped.

        Raises ``MappingBroken`` where the relation has lost its name, or a mapped column.
        """
        named = (relation.schema, relation.name)
        table = self._found.get(named)
        if table is None:
            if relation.oid in self._oids:
                before = self._oids[relation.oid]
                raise MappingBroken(
                    f"the table {'.'.join(before)} of the entity {self._found[before].entity!r} was renamed to"
                    f" {'.'.join(named)}",
                    hint="rename it back, or name the new one in the settings and run `bothways setup`",
                )
            return None
        self._oids[relation.oid] = named
        async with await self._connect() as connection:
            described = await _described(connection, table)
            _check_columns(table, relation, described)
            types = await column_types(connection, relation.columns)
        place = Place(self._name, self._database, relation.schema, relation.name)
        return Table(table.topic, place, shape(place, types, _key(relation, described), self._form), self._form)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=10)


async def _described(connection: psycopg.AsyncConnection[Any], table: TableMap) -> TableDescription:
    described = await describe(connection, table)
    if described is None:
        raise MappingBroken(
            f"the table {table.table}, which the entity {table.entity!r} maps, is gone",
            hint="put it back, or take the entity out of the settings and run `bothways setup`",
        )
    if not described.key:
        raise MappingBroken(
            f"the table {described.sql_name} of the entity {table.entity!r} has no primary key",
            hint=f"ALTER TABLE {described.sql_name} ADD PRIMARY KEY (…);",
        )
    return described


def _check_columns(table: TableMap, relation: Relation, described: TableDescription) -> None:
    """A mapped column may be missing in the stream as it was before the column was added, or be generated."""
    streamed = {column.name for column in relation.columns}
    for name in sorted(table.columns - streamed):
        described.column(name)


def _key(relation: Relation, described: TableDescription) -> tuple[int, ...]:
    """Where the primary key's columns are in the stream's rows, in the key's order."""
    place = {column.name: n for n, column in enumerate(relation.columns)}
    if all(name in place for name in described.key):
        return tuple(place[name] for name in described.key)
    # The stream shows a time before (or after) a key column was renamed: the same columns under other names, in the
    # table's order.
    flagged = [n for n, column in enumerate(relation.columns) if column.identifies]
    if relation.identity != "d" or len(flagged) != len(described.key):
        raise MappingBroken(
            f"the rows of {described.sql_name} come without the primary key ({', '.join(described.key)})",
            hint=f"ALTER TABLE {described.sql_name} REPLICA IDENTITY DEFAULT;",
        )
    in_table_order = sorted(described.key, key=list(described.columns).index)
    return tuple(flagged[in_table_order.index(name)] for name in described.key)


_PUBLISHED = "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = %s"

_WAL_END = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn
"""
